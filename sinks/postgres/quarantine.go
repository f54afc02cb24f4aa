package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// Entries lists what cdc_quarantine holds of a stream, by table and key.
func (r *Reader) Entries(ctx context.Context, stream string) ([]sinks.Entry, error) {
	conn, err := r.session(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := conn.Query(ctx, fmt.Sprintf("SELECT table_name, row_key, seq, reason, at FROM %s WHERE stream = $1 ORDER BY table_name, row_key",
		ident(r.cfg.Schema, "cdc_quarantine")), stream)
	if err != nil {
		return nil, fmt.Errorf("read cdc_quarantine: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (sinks.Entry, error) {
		e := sinks.Entry{Stream: stream}
		var seq int64
		err := row.Scan(&e.Table, &e.Key, &seq, &e.Reason, &e.At)
		e.Seq = change.Seq(seq)
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("read cdc_quarantine: %w", err)
	}
	return list, nil
}

// Forget removes an entry from cdc_quarantine, unless it has another Seq by now; done tells whether it did.
// It is the one thing that a Reader writes.
func (r *Reader) Forget(ctx context.Context, e sinks.Entry) (done bool, err error) {
	conn, err := r.session(ctx)
	if err != nil {
		return false, err
	}
	tag, err := conn.Exec(ctx, fmt.Sprintf("DELETE FROM %s WHERE stream = $1 AND table_name = $2 AND row_key = $3 AND seq = $4",
		ident(r.cfg.Schema, "cdc_quarantine")), e.Stream, e.Table, e.Key, int64(e.Seq))
	if err != nil {
		return false, fmt.Errorf("remove %s from cdc_quarantine: %w", e.Key, err)
	}
	return tag.RowsAffected() > 0, nil
}
