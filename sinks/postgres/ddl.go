package postgres

import "github.com/etlsandbox/cdc/sinks"

// DDL is the statement that makes a target's table; schema "" is "public". It connects to nothing.
func DDL(t sinks.Target, schema string) (string, error) {
	if schema == "" {
		schema = "public"
	}
	tg, err := newTarget(t, schema, 0)
	if err != nil {
		return "", err
	}
	return tg.createTable(), nil
}
