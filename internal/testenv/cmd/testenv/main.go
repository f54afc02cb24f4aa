// Command testenv gives a shell what package testenv gives to tests.
//
//	testenv fetch KINDS             download what these servers need, start nothing
//	testenv up KINDS                start them, print their addresses, stop at Ctrl-C
//	testenv run KINDS -- COMMAND    start them, run COMMAND with their addresses, stop
//	testenv report FILE             print a report of servers as a table
//	testenv sweep                   remove what killed processes left behind
//
// KINDS is a comma list of mariadb, mysql, mysql57, postgres, kafka, clickhouse
// and sqlserver; kcat, a program that tests use, can be fetched, too.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/etlsandbox/cdc/internal/testenv"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := command(ctx, os.Args[1:])
	stop()
	var child childError
	if errors.As(err, &child) {
		os.Exit(child.status) // it has said why
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "testenv: %v\n", err)
		os.Exit(1)
	}
}

// childError is the failure of the command that run ran.
type childError struct{ status int }

func (c childError) Error() string { return fmt.Sprintf("the command ended with status %d", c.status) }

func command(ctx context.Context, args []string) error {
	switch {
	case len(args) == 1 && args[0] == "sweep":
		// Every start sweeps.
		env, err := testenv.Start(ctx, testenv.Options{})
		if err != nil {
			return err
		}
		return env.Close()
	case len(args) == 2 && args[0] == "report":
		return testenv.WriteReport(os.Stdout, args[1])
	case len(args) < 2:
		return errors.New("usage: testenv fetch KINDS | up KINDS | run KINDS -- COMMAND | report FILE | sweep")
	}
	kinds := strings.Split(args[1], ",")
	var child []string
	switch args[0] {
	case "fetch", "up":
	case "run":
		if len(args) < 4 || args[2] != "--" {
			return errors.New("usage: testenv run KINDS -- COMMAND")
		}
		child = args[3:]
	default:
		return fmt.Errorf("unknown command %q; there are fetch, up, run, report and sweep", args[0])
	}
	env, err := testenv.Start(ctx, testenv.Options{Log: os.Stderr})
	if err != nil {
		return err
	}
	err = serve(ctx, env, args[0], kinds, child)
	return errors.Join(err, env.Close())
}

func serve(ctx context.Context, env *testenv.Env, verb string, kinds, child []string) error {
	if verb == "fetch" {
		return env.Fetch(ctx, kinds...)
	}
	vars, err := start(ctx, env, kinds)
	if err != nil {
		return err
	}
	if verb == "up" {
		for _, v := range vars {
			fmt.Println(v)
		}
		fmt.Fprintln(os.Stderr, "testenv: running; Ctrl-C stops and removes everything")
		<-ctx.Done()
		return nil
	}
	cmd := exec.CommandContext(ctx, child[0], child[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Env = append(os.Environ(), vars...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return childError{exit.ExitCode()}
	}
	if err != nil {
		return fmt.Errorf("run %s: %w", child[0], err)
	}
	return nil
}

// start starts a server of each kind and returns their addresses as the
// variables that tests read.
func start(ctx context.Context, env *testenv.Env, kinds []string) ([]string, error) {
	var vars []string
	for _, kind := range kinds {
		address, err := startOne(ctx, env, kind)
		if err != nil {
			return nil, err
		}
		vars = append(vars, "CDC_TEST_"+strings.ToUpper(kind)+"="+address)
	}
	return vars, nil
}

func startOne(ctx context.Context, env *testenv.Env, kind string) (string, error) {
	mysqlFamily := map[string]func(context.Context, ...string) (*testenv.MySQLServer, error){
		testenv.KindMariaDB: env.MariaDB, testenv.KindMySQL: env.MySQL, testenv.KindMySQL57: env.MySQL57,
	}
	if start, ok := mysqlFamily[kind]; ok {
		s, err := start(ctx)
		if err != nil {
			return "", err
		}
		return s.DSN(""), nil
	}
	switch kind {
	case testenv.KindPostgres:
		s, err := env.Postgres(ctx)
		if err != nil {
			return "", err
		}
		return s.DSN(""), nil
	case testenv.KindKafka:
		s, err := env.Kafka(ctx)
		if err != nil {
			return "", err
		}
		return s.Addr, nil
	case testenv.KindClickHouse:
		s, err := env.ClickHouse(ctx)
		if err != nil {
			return "", err
		}
		return s.URL(""), nil
	case testenv.KindSQLServer:
		s, err := env.SQLServer(ctx)
		if err != nil {
			return "", err
		}
		return s.DSN(""), nil
	default:
		return "", fmt.Errorf("unknown kind of server %q; there are %s", kind, strings.Join(testenv.Kinds(), ", "))
	}
}
