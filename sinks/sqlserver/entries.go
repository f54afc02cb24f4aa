package sqlserver

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// Entries lists what cdc_quarantine holds of a stream, by table and key.
func (r *Reader) Entries(ctx context.Context, stream string) ([]sinks.Entry, error) {
	var list []sinks.Entry
	err := r.do(ctx, func(s *session) error {
		list = nil
		e := sinks.Entry{Stream: stream}
		var seq int64
		return s.each(ctx, quarantineEntriesSQL.with("quarantine", ident(r.cfg.Schema, "cdc_quarantine")), []any{sql.Named("stream", stream)},
			func() error {
				e.Seq = change.Seq(seq)
				list = append(list, e)
				return nil
			}, &e.Table, &e.Key, &seq, &e.Reason, &e.At)
	})
	if err != nil {
		return nil, fmt.Errorf("read cdc_quarantine: %w", err)
	}
	return list, nil
}

// Forget removes an entry from cdc_quarantine, unless it has another Seq by now; done tells whether it did.
// It is the one thing that a Reader writes.
func (r *Reader) Forget(ctx context.Context, e sinks.Entry) (done bool, err error) {
	err = r.do(ctx, func(s *session) error {
		n, err := s.exec(ctx, forgetEntrySQL.with("quarantine", ident(r.cfg.Schema, "cdc_quarantine")), sql.Named("stream", e.Stream),
			sql.Named("table_name", e.Table), sql.Named("row_key", e.Key), sql.Named("seq", int64(e.Seq)))
		done = n > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("remove %s from cdc_quarantine: %w", e.Key, err)
	}
	return done, nil
}
