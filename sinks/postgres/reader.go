package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// Reader reads back what a destination shows, to compare it with the source. It writes nothing and needs
// no right to write. It belongs to one goroutine.
type Reader struct {
	cfg  Config
	conn *pgx.Conn
}

// NewReader returns a Reader that connects when it is first used.
func NewReader(cfg Config) (*Reader, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Reader{cfg: cfg}, nil
}

// Close ends the session.
func (r *Reader) Close() error {
	if r.conn == nil {
		return nil
	}
	return r.conn.Close(context.Background())
}

func (r *Reader) session(ctx context.Context) (*pgx.Conn, error) {
	if r.conn != nil && !r.conn.IsClosed() {
		return r.conn, nil
	}
	pc, err := r.cfg.pgxConfig()
	if err != nil {
		return nil, err
	}
	if r.conn, err = pgx.ConnectConfig(ctx, pc); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", r.cfg.Name, err)
	}
	return r.conn, nil
}

// Range reads the rows that the target shows in a key range, and where in the source they stand, in one
// snapshot. Soft-deleted rows count as absent.
func (r *Reader) Range(ctx context.Context, stream string, t sinks.Target, rng change.KeyRange) (rows []change.Row, at change.Position, err error) {
	conn, err := r.session(ctx)
	if err != nil {
		return nil, at, err
	}
	tg, err := newTarget(t, r.cfg.Schema, 0)
	if err != nil {
		return nil, at, err
	}
	where, err := tg.rangePart(rng)
	if err != nil {
		return nil, at, err
	}
	err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if at, err = r.shown(ctx, tx, stream, t.From); err != nil {
			return err
		}
		rows, err = tg.readRows(ctx, tx, where)
		return err
	})
	return rows, at, err
}

// Shown returns where in the source what the target shows stands; the zero Position when it shows nothing.
func (r *Reader) Shown(ctx context.Context, stream, table string) (change.Position, error) {
	conn, err := r.session(ctx)
	if err != nil {
		return change.Position{}, err
	}
	return r.shown(ctx, conn, stream, table)
}

type queryer interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// shown is the table's own boundary while it has one, else the stream's.
func (r *Reader) shown(ctx context.Context, q queryer, stream, table string) (change.Position, error) {
	var text string
	err := q.QueryRow(ctx, fmt.Sprintf("SELECT position FROM %s WHERE stream = $1 AND table_name IN ('', $2) ORDER BY table_name DESC LIMIT 1",
		ident(r.cfg.Schema, "cdc_progress")), stream, table).Scan(&text)
	if errors.Is(err, pgx.ErrNoRows) {
		return change.Position{}, nil
	}
	if err != nil {
		return change.Position{}, fmt.Errorf("read cdc_progress: %w", err)
	}
	var p change.Position
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return change.Position{}, fmt.Errorf("read cdc_progress: position %q: %w", text, err)
	}
	return p, nil
}

// Quarantined returns the keys of the target that are listed in cdc_quarantine, as sinks.FormatKey prints them.
func (r *Reader) Quarantined(ctx context.Context, stream, table string) (map[string]bool, error) {
	conn, err := r.session(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := conn.Query(ctx, fmt.Sprintf("SELECT row_key FROM %s WHERE stream = $1 AND table_name = $2",
		ident(r.cfg.Schema, "cdc_quarantine")), stream, table)
	if err != nil {
		return nil, fmt.Errorf("read cdc_quarantine: %w", err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read cdc_quarantine: %w", err)
	}
	set := make(map[string]bool, len(keys))
	for _, k := range keys {
		set[k] = true
	}
	return set, nil
}

func (tg *target) readRows(ctx context.Context, tx pgx.Tx, where part) ([]change.Row, error) {
	exprs := make([]string, len(tg.columns))
	for i, c := range tg.columns {
		exprs[i] = readText(c, "t")
	}
	rows, err := tx.Query(ctx, fmt.Sprintf("SELECT %s FROM %s AS t WHERE %s", strings.Join(exprs, ", "), tg.name, tg.shownOnly(where.sql)), where.args...)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", tg.name, err)
	}
	defer rows.Close()
	text := make([]*string, len(exprs))
	into := make([]any, len(exprs))
	for i := range text {
		into[i] = &text[i]
	}
	var out []change.Row
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, fmt.Errorf("read a row of %s: %w", tg.name, err)
		}
		row := make(change.Row, len(text))
		for i, s := range text {
			if row[i], err = parseText(tg.columns[i], s); err != nil {
				return nil, fmt.Errorf("read a row of %s: column %s: %w", tg.name, tg.columns[i].name, err)
			}
		}
		out = append(out, row)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", tg.name, err)
	}
	return out, nil
}

// shownOnly narrows a condition to the rows that count as shown.
func (tg *target) shownOnly(cond string) string {
	if tg.Soft {
		cond += " AND NOT t." + ident(tg.MarkColumn())
	}
	return cond
}
