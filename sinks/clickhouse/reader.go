package clickhouse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// Reader reads back what a destination shows, to compare it with the source. It needs no right to write but
// for Forget. It belongs to one goroutine.
type Reader struct {
	*session
	progress, quarantine string
}

// NewReader returns a Reader that connects when it is first used.
func NewReader(cfg Config) (*Reader, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	ses, err := newSession(cfg)
	if err != nil {
		return nil, err
	}
	return &Reader{session: ses, progress: quoteName(cfg.Database, "cdc_progress"), quarantine: quoteName(cfg.Database, "cdc_quarantine")}, nil
}

// Close ends the session.
func (r *Reader) Close() error { return r.close() }

// How long Range waits for a moment without a batch in the middle of its read.
const (
	quietTimeout = 30 * time.Second
	quietPause   = 50 * time.Millisecond
)

// errBusy says that no two looks at cdc_progress around a read were the same.
var errBusy = errors.New("batches are being written all the time, or one was left unfinished: start the sink, or compare a smaller range")

// Range reads the rows that the target shows in a key range, and where in the source they stand. No snapshot
// spans two tables: what was read counts if cdc_progress says before and after it that the same batch is the
// last, and none is being written. Soft-deleted rows count as absent.
func (r *Reader) Range(ctx context.Context, stream string, t sinks.Target, rng change.KeyRange) ([]change.Row, change.Position, error) {
	tg, err := r.target(ctx, t)
	if err != nil {
		return nil, change.Position{}, err
	}
	where, err := tg.rangeCondition(rng)
	if err != nil {
		return nil, change.Position{}, err
	}
	var rows []change.Row
	at, err := r.steady(ctx, stream, tg, func() error {
		rows, err = r.rows(ctx, tg, where)
		return err
	})
	return rows, at, err
}

// steady reads until a read stands at one place, which it returns: no batch was written meanwhile.
func (r *Reader) steady(ctx context.Context, stream string, tg *target, read func() error) (change.Position, error) {
	deadline := time.Now().Add(quietTimeout)
	pause := time.NewTicker(quietPause)
	defer pause.Stop()
	for {
		before, err := r.place(ctx, stream, tg.From)
		if err != nil {
			return change.Position{}, err
		}
		if err := read(); err != nil {
			return change.Position{}, err
		}
		after, err := r.place(ctx, stream, tg.From)
		if err != nil {
			return change.Position{}, err
		}
		if before == after && !before.writing {
			return before.at, nil
		}
		if time.Now().After(deadline) {
			return change.Position{}, fmt.Errorf("read %s: %w", tg.view, errBusy)
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return change.Position{}, ctx.Err()
		}
	}
}

// target binds a target to the table as it is.
func (r *Reader) target(ctx context.Context, t sinks.Target) (*target, error) {
	tg, err := newTarget(t, r.cfg)
	if err != nil {
		return nil, err
	}
	rel, err := r.lookup(ctx, tg.database, tg.bare)
	if err != nil {
		return nil, err
	}
	if rel == nil {
		return nil, tg.gone()
	}
	tg.bind(rel)
	return tg, nil
}

// standing is where what is shown of a table stands.
type standing struct {
	at      change.Position
	id      string // of the stream's last batch
	writing bool
}

// place is the table's own boundary while it has one, else the stream's.
func (r *Reader) place(ctx context.Context, stream, table string) (standing, error) {
	var out standing
	position := ""
	err := r.query(ctx, fmt.Sprintf("SELECT table_name, position, progress_id, plan <> '' FROM %s FINAL WHERE stream = %s AND table_name IN ('', %s) ORDER BY table_name",
		r.progress, literal(stream), literal(table)), func(scan func(...any) error) error {
		var name, text, id string
		var writing uint8
		if err := scan(&name, &text, &id, &writing); err != nil {
			return err
		}
		if position = text; name == "" {
			out.id, out.writing = id, writing == 1
		}
		return nil
	})
	if err != nil {
		return out, fmt.Errorf("read cdc_progress: %w", err)
	}
	if position == "" {
		return out, nil
	}
	if err := json.Unmarshal([]byte(position), &out.at); err != nil {
		return out, fmt.Errorf("read cdc_progress: position %q: %w", position, err)
	}
	return out, nil
}

// Shown returns where in the source what the target shows stands; the zero Position when it shows nothing.
func (r *Reader) Shown(ctx context.Context, stream, table string) (change.Position, error) {
	p, err := r.place(ctx, stream, table)
	return p.at, err
}

// Quarantined returns the keys of the target that are listed in cdc_quarantine, as sinks.FormatKey prints them.
func (r *Reader) Quarantined(ctx context.Context, stream, table string) (map[string]bool, error) {
	set := map[string]bool{}
	err := r.query(ctx, fmt.Sprintf("SELECT row_key FROM %s FINAL WHERE stream = %s AND table_name = %s", r.quarantine, literal(stream), literal(table)),
		func(scan func(...any) error) error {
			var key string
			err := scan(&key)
			set[key] = true
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("read cdc_quarantine: %w", err)
	}
	return set, nil
}

// Entries lists what cdc_quarantine holds of a stream, by table and key.
func (r *Reader) Entries(ctx context.Context, stream string) ([]sinks.Entry, error) {
	var out []sinks.Entry
	err := r.query(ctx, fmt.Sprintf("SELECT table_name, row_key, seq, reason, at FROM %s FINAL WHERE stream = %s ORDER BY table_name, row_key", r.quarantine, literal(stream)),
		func(scan func(...any) error) error {
			e := sinks.Entry{Stream: stream}
			var seq uint64
			err := scan(&e.Table, &e.Key, &seq, &e.Reason, &e.At)
			e.Seq = change.Seq(seq)
			out = append(out, e)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("read cdc_quarantine: %w", err)
	}
	return out, nil
}

// Forget removes an entry from cdc_quarantine, unless it has another Seq by now; done tells whether it did.
// It is the one thing that a Reader writes. The entry's end has the entry's own version: of equal ones the
// later counts, and whatever the sink says of the key from now on has a higher one.
func (r *Reader) Forget(ctx context.Context, e sinks.Entry) (done bool, err error) {
	where := fmt.Sprintf("stream = %s AND table_name = %s AND row_key = %s AND seq = %d", literal(e.Stream), literal(e.Table), literal(e.Key), e.Seq)
	var n uint64
	if err := r.queryRow(ctx, fmt.Sprintf("SELECT count() FROM %s FINAL WHERE %s", r.quarantine, where), &n); err != nil {
		return false, fmt.Errorf("look for %s in cdc_quarantine: %w", e.Key, err)
	}
	if n == 0 {
		return false, nil
	}
	const cols = "stream, table_name, row_key, seq, reason, at, cdc_version"
	if err := r.exec(ctx, "forget", fmt.Sprintf("INSERT INTO %s (%s, cdc_deleted) SELECT %[2]s, 1 FROM %[1]s FINAL WHERE %[3]s", r.quarantine, cols, where), once()); err != nil {
		return false, fmt.Errorf("remove %s from cdc_quarantine: %w", e.Key, err)
	}
	return true, nil
}

// rows reads what is shown of a target.
func (r *Reader) rows(ctx context.Context, tg *target, where string) ([]change.Row, error) {
	exprs := make([]string, len(tg.columns))
	for i := range tg.columns {
		exprs[i] = readText(&tg.columns[i])
	}
	text := make([]*string, len(exprs))
	into := make([]any, len(exprs))
	for i := range text {
		into[i] = &text[i]
	}
	var out []change.Row
	err := r.query(ctx, fmt.Sprintf("SELECT %s FROM %s FINAL WHERE %s", strings.Join(exprs, ", "), tg.name, tg.shownOnly(where)), func(scan func(...any) error) error {
		if err := scan(into...); err != nil {
			return err
		}
		row := make(change.Row, len(text))
		for i, s := range text {
			var err error
			if row[i], err = parseText(&tg.columns[i], s); err != nil {
				return fmt.Errorf("column %s: %w", tg.columns[i].name, err)
			}
		}
		out = append(out, row)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", tg.view, err)
	}
	return out, nil
}

// shownOnly narrows a condition to the rows that count as shown.
func (tg *target) shownOnly(where string) string {
	if tg.Soft {
		where += " AND NOT " + quoteName(tg.MarkColumn())
	}
	return where
}
