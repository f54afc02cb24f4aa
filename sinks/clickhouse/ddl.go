package clickhouse

import "github.com/etlsandbox/cdc/sinks"

// DDL are the statements that make a target's table of versions, as the settings shape it, and its readers' view;
// database "" is "default". It connects to nothing.
func DDL(t sinks.Target, database string, settings TableSettings) ([]string, error) {
	if database == "" {
		database = "default"
	}
	tg, err := newTarget(t, Config{Database: database, Tables: map[string]TableSettings{t.To: settings}})
	if err != nil {
		return nil, err
	}
	tg.showAll()
	return []string{tg.createVersions(""), tg.createView("")}, nil
}
