// Package migrate applies statements that change the shape of a destination's tables, one version each, and keeps them
// in the destination's table cdc_migrations. Running them, in order and once, is goose's; what they are is the sinks'.
package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pressly/goose/v3"
)

// Table is the name of the table of versions.
const Table = "cdc_migrations"

// Database is one destination. Its owner closes DB.
type Database struct {
	DB *sql.DB
	// Table is the table of versions, quoted.
	Table string
	// Texts are in the destination's dialect.
	Texts Texts
	// Transactional says that a statement and its version become durable together. Otherwise the statements must be ones
	// that may be repeated.
	Transactional bool
}

// Texts are the statements on the table of versions.
type Texts struct {
	// Exists selects whether the table exists, 0 or 1.
	Exists string
	// Create makes the table.
	Create string
	// Lock keeps others from adding a version until the end of the transaction; "" if Latest does, or nothing can.
	Lock string
	// Latest selects the highest version.
	Latest string
	// Insert adds a version; its parameters are the version and the statement.
	Insert string
	// List selects version, time (UTC) and statement of all, the highest first.
	List string
}

// Applied is a statement that was applied.
type Applied struct {
	Version   int64     `json:"version"`
	At        time.Time `json:"at"`
	Statement string    `json:"statement"`
}

// errOvertaken says that another process has applied something since the plan was made.
var errOvertaken = errors.New("another process has changed the destination since the plan was made")

// Apply runs what plan computes until it computes nothing, and returns what it applied, also with an error. Of two at
// once one waits for the other's statement, and plans again.
func Apply(ctx context.Context, d *Database, plan func(context.Context) ([]string, error)) ([]Applied, error) {
	const rounds = 10
	var done []Applied
	for range rounds {
		// First the version, then the plan: what another process applies in between is overtaken, not done again.
		before, err := Status(ctx, d)
		if err != nil {
			return done, err
		}
		statements, err := plan(ctx)
		if err != nil || len(statements) == 0 {
			return done, err
		}
		versions, err := run(ctx, d, latest(before), statements)
		after, listErr := Status(context.WithoutCancel(ctx), d)
		for _, a := range slices.Backward(after) {
			if slices.Contains(versions, a.Version) {
				done = append(done, a)
			}
		}
		if errors.Is(err, errOvertaken) {
			continue
		}
		if err = errors.Join(err, listErr); err != nil {
			return done, err
		}
	}
	return done, fmt.Errorf("the destination lacks something after %d rounds of statements: another process changes it, or a statement has no effect;"+
		" see `cdc migrate plan`", rounds)
}

// latest is the highest version of a list; 0 if it is empty.
func latest(list []Applied) int64 {
	if len(list) == 0 {
		return 0
	}
	return list[0].Version
}

// run applies statements as the versions that follow one, and returns the versions that it made, also with an error.
func run(ctx context.Context, d *Database, newest int64, statements []string) ([]int64, error) {
	s := &store{db: d, statements: map[int64]string{}}
	migrations := make([]*goose.Migration, len(statements))
	for i, text := range statements {
		version := newest + 1 + int64(i)
		s.statements[version] = text
		migrations[i] = goose.NewGoMigration(version, d.step(version, text), nil)
	}
	p, err := goose.NewProvider(goose.DialectCustom, d.DB, nil, goose.WithStore(s), goose.WithGoMigrations(migrations...),
		goose.WithDisableGlobalRegistry(true), goose.WithIsolateDDL(!d.Transactional))
	if err != nil {
		return nil, fmt.Errorf("set up migrations: %w", err)
	}
	results, err := p.Up(ctx)
	var partial *goose.PartialError
	if errors.As(err, &partial) {
		results, err = partial.Applied, partial.Err
	}
	var versions []int64
	for _, r := range results {
		versions = append(versions, r.Source.Version)
	}
	if err != nil {
		return versions, fmt.Errorf("apply a migration: %w", err)
	}
	return versions, nil
}

// step is one statement as goose runs it.
func (d *Database) step(version int64, text string) *goose.GoFunc {
	if !d.Transactional {
		return &goose.GoFunc{RunDB: func(ctx context.Context, db *sql.DB) error { return d.exec(ctx, db, version, text) }}
	}
	return &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error { return d.exec(ctx, tx, version, text) }}
}

// executor is the part of a connection, or of a transaction, that runs statements.
type executor interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func (d *Database) exec(ctx context.Context, db executor, version int64, text string) error {
	if d.Texts.Lock != "" {
		if _, err := db.ExecContext(ctx, d.Texts.Lock); err != nil {
			return fmt.Errorf("lock %s: %w", d.Table, err)
		}
	}
	var newest int64
	if err := db.QueryRowContext(ctx, d.Texts.Latest).Scan(&newest); err != nil {
		return fmt.Errorf("read the latest version of %s: %w", d.Table, err)
	}
	if newest != version-1 {
		return fmt.Errorf("version %d after %d: %w", version, newest, errOvertaken)
	}
	if _, err := db.ExecContext(ctx, text); err != nil {
		return fmt.Errorf("version %d, %s: %w", version, text, err)
	}
	return nil
}

// Status lists what was applied, the newest first; nothing if the table of versions does not exist.
func Status(ctx context.Context, d *Database) ([]Applied, error) {
	there, err := d.exists(ctx, d.DB)
	if err != nil || !there {
		return nil, err
	}
	return d.list(ctx, d.DB)
}

func (d *Database) exists(ctx context.Context, db executor) (bool, error) {
	var n int64
	if err := db.QueryRowContext(ctx, d.Texts.Exists).Scan(&n); err != nil {
		return false, fmt.Errorf("look up %s: %w", d.Table, err)
	}
	return n > 0, nil
}

// lister is the part of a connection that reads rows.
type lister interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// list reads all versions but goose's first, 0, which holds no statement.
func (d *Database) list(ctx context.Context, db lister) (out []Applied, err error) {
	rows, err := db.QueryContext(ctx, d.Texts.List)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", d.Table, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var a Applied
		if err := rows.Scan(&a.Version, &a.At, &a.Statement); err != nil {
			return nil, fmt.Errorf("read %s: %w", d.Table, err)
		}
		a.At = a.At.UTC()
		if a.Version > 0 {
			out = append(out, a)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", d.Table, err)
	}
	return out, nil
}
