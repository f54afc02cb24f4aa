package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/spf13/cobra"

	"github.com/etlsandbox/cdc/internal/sample"
)

// seedOptions are the flags of cdc seed.
type seedOptions struct {
	dsn     string
	scale   float64
	seed    int64
	load    bool
	length  time.Duration
	seconds int
	rate    float64
	drop    bool
}

func (a *app) seedCommand() *cobra.Command {
	var o seedOptions
	c := &cobra.Command{
		Use:   "seed --dsn DSN",
		Short: "Create and fill the sample database, or write a load to it",
		Long: `Create the Sakila sample schema in a MySQL or MariaDB server and fill it with generated rows. The same seed and scale give
the same rows everywhere. With --load, write a mixed load to a schema that is filled.

The DSN names the schema: USER:PASSWORD@tcp(HOST:3306)/sakila or USER@unix(/path/to.sock)/sakila; it can also stand in
the variable CDC_SEED_DSN. The source of cdc.yaml is never used, and a schema that this command did not create is refused.`,
		Example: "  cdc seed --dsn 'root@tcp(127.0.0.1:3306)/sakila'\n  cdc seed --dsn 'root@tcp(127.0.0.1:3306)/sakila' --load --seconds 30 --rate 200",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.seconds < 0 || !(o.rate >= 0) {
				return errors.New("--seconds and --rate are numbers from 0 on (0: no limit)")
			}
			o.length = time.Duration(o.seconds) * time.Second
			return a.seed(cmd.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.dsn, "dsn", "", "`DSN` of the server and schema")
	f.Float64Var(&o.scale, "scale", 1, "size; 1 is about 16,000 rentals and as many payments")
	f.Int64Var(&o.seed, "seed", 1, "decides every value")
	f.BoolVar(&o.load, "load", false, "write a load instead of filling")
	f.IntVar(&o.seconds, "seconds", 0, "end the load after so many seconds (default: when interrupted)")
	f.Float64Var(&o.rate, "rate", 0, "transactions a second of the load (default: as many as the server takes)")
	f.BoolVar(&o.drop, "drop", false, "drop the schema first, if this command created it")
	return c
}

func (a *app) seed(ctx context.Context, o seedOptions) error {
	if o.dsn == "" {
		o.dsn, _ = a.lookupEnv("CDC_SEED_DSN")
	}
	db, schema, err := openDSN(o.dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	if o.load {
		return a.writeLoad(ctx, db, schema, o)
	}
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	if o.drop {
		if err := sample.Drop(ctx, db, schema); err != nil {
			return err
		}
	}
	if err := sample.Create(ctx, db, schema); err != nil {
		return err
	}
	p := a.newProgress()
	rows := 0
	err = sample.Seed(ctx, db, schema, sample.Options{Scale: o.scale, Seed: o.seed, Progress: func(done, total int, _ string) {
		rows = done
		p.show(schema, uint64(done), uint64(total))
	}})
	p.end()
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(seeded{schema, rows})
	}
	a.say("%s holds %d rows", schema, rows)
	return nil
}

type seeded struct {
	Schema string `json:"schema"`
	Rows   int    `json:"rows"`
}

// loaded is the JSON of a load.
type loaded struct {
	Schema       string  `json:"schema"`
	Transactions int64   `json:"transactions"`
	Rows         int64   `json:"rows"`
	Seconds      float64 `json:"seconds"`
	RowsPerSec   float64 `json:"rows_per_second"`
	Retries      int64   `json:"retries"`
	Reconnects   int64   `json:"reconnects"`
}

// writeLoad writes until its time is over or it is interrupted, which is its normal end.
func (a *app) writeLoad(ctx context.Context, db *sql.DB, schema string, o seedOptions) error {
	if o.length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.length)
		defer cancel()
	}
	l := sample.NewLoad(db, schema, sample.LoadOptions{Seed: o.seed, RatePerSecond: o.rate})
	shown, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		p := a.newProgress()
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		defer p.end()
		for {
			select {
			case <-shown.Done():
				return
			case <-tick.C:
				p.show(schema, uint64(l.Stats().Rows), 0)
			}
		}
	}()
	s, err := l.Run(ctx)
	stop()
	<-done
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(loaded{schema, s.Transactions, s.Rows, s.Elapsed.Seconds(), s.PerSecond(), s.Retries, s.Reconnects})
	}
	a.say("%s: %d transactions, %d rows in %s (%.0f rows/s); %d retries, %d reconnects", schema, s.Transactions, s.Rows,
		s.Elapsed.Round(time.Millisecond), s.PerSecond(), s.Retries, s.Reconnects)
	return nil
}

// openDSN returns a pool without a default schema, and the schema that the DSN names. Messages never hold
// the DSN, which may carry a password.
func openDSN(dsn string) (*sql.DB, string, error) {
	const way = "write --dsn 'USER:PASSWORD@tcp(HOST:3306)/sakila'"
	if dsn == "" {
		return nil, "", errors.New("no DSN: " + way)
	}
	c, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, "", errors.New("the DSN cannot be read: " + way)
	}
	schema := c.DBName
	if schema == "" {
		return nil, "", fmt.Errorf("the DSN for %s names no schema: %s", c.Addr, way)
	}
	c.DBName = ""
	c.Logger = log.New(io.Discard, "", 0) // the driver's own log repeats what its errors say
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, "", fmt.Errorf("use the DSN for %s: %w", c.Addr, err)
	}
	return sql.OpenDB(connector), schema, nil
}
