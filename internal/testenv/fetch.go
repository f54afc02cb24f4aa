package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// Fetch makes sure that the program files of these kinds of servers are here,
// downloading what is not, and starts nothing. Kinds that cannot be had are
// in the error, each as a MissingError; the others are there all the same.
func (e *Env) Fetch(ctx context.Context, kinds ...string) error {
	if err := e.forgetFailures(); err != nil {
		return err
	}
	var errs []error
	for _, kind := range kinds {
		address, finders, err := findersOf(kind)
		if err != nil {
			return err
		}
		if os.Getenv(address) != "" {
			e.logf("%s: the server at %s", kind, address)
			continue
		}
		if err := e.fetchOne(ctx, kind, finders); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (e *Env) fetchOne(ctx context.Context, kind string, finders []namedFinder) error {
	missing := &MissingError{Kind: kind}
	for _, f := range finders {
		in, err := f.find(ctx, e)
		if err == nil {
			e.logf("%s: %s (from %s)", kind, in.server.path, f.from)
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("fetch %s: %w", kind, err)
		}
		missing.Tried = append(missing.Tried, fmt.Errorf("%s: %w", f.from, err))
	}
	return missing
}

// findersOf returns the variable with a kind's address, and where to look for
// its program files.
func findersOf(kind string) (address string, finders []namedFinder, err error) {
	switch kind {
	case KindMariaDB:
		return mariadbFlavor.env, mariadbFlavor.finders, nil
	case KindMySQL:
		return mysqlFlavor.env, mysqlFlavor.finders, nil
	case KindMySQL57:
		return mysql57Flavor.env, mysql57Flavor.finders, nil
	case KindPostgres:
		return postgresAddress, postgresFinders, nil
	case KindKafka:
		return kafkaAddress, []namedFinder{{fromPackages, func(ctx context.Context, e *Env) (installation, error) {
			java, _, err := e.kafkaFiles(ctx)
			return installation{server: java}, err
		}}}, nil
	case KindClickHouse:
		return clickhouseAddress, clickhouseFinders, nil
	case KindSQLServer:
		return sqlServerAddress, postgresFinders, nil // the double needs no more
	case KindKcat:
		return kcatProgram, kcatFinders, nil
	default:
		return "", nil, fmt.Errorf("unknown kind of server %q; there are %s", kind, strings.Join(Kinds(), ", "))
	}
}
