package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/joiner"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// coveringAfter returns the tables under a cover once the record is applied.
func (j *Join) coveringAfter(p *wire.Progress) map[string]Covering {
	if p.Cover == nil || !p.Cover.IsFor(JoinReader) {
		return j.at.Covering
	}
	next := maps.Clone(j.at.Covering)
	if next == nil {
		next = map[string]Covering{}
	}
	switch p.Kind {
	case change.Begin:
		for _, t := range p.Cover.Tables {
			if !j.engine.Reads(change.ParseTableID(t)) {
				continue
			}
			whole := slices.Contains(p.Cover.Whole, t)
			if p.Cover.Heal || whole && !next[t].Heal {
				next[t] = Covering{Cover: p.Cover.ID, Heal: p.Cover.Heal, Whole: whole}
			}
		}
	case change.End:
		for t, c := range next {
			if c.Cover == p.Cover.ID {
				delete(next, t)
			}
		}
	case change.Changes, change.Chunk, change.Schema, change.Idle:
	}
	return next
}

// fold applies records to a batch of the engine and returns the state's meta after them. Only Changes come
// in several at once.
func (j *Join) fold(ctx context.Context, recs []*stream.Record, emit []string) (*folded, JoinMeta, error) {
	last := recs[len(recs)-1]
	m := j.at
	m.In = last.Mark
	m.Covering = j.coveringAfter(recs[0].Progress)
	state, release, err := j.state.Read()
	if err != nil {
		return nil, m, err
	}
	b, err := j.engine.Begin(state, joiner.Options{Emit: emit, Limit: j.cfg.Memory, Scratch: j.cfg.Scratch, Note: j.noting(m.Covering)})
	f := &folded{b, release}
	if err != nil {
		return nil, m, errors.Join(err, release())
	}
	rows := map[string]int{}
	for _, rec := range recs {
		if err := j.apply(ctx, b, rec, rows); err != nil {
			return nil, m, errors.Join(err, f.close())
		}
	}
	j.cfg.Consumed(rows)
	return f, m, nil
}

// folded is a batch of the engine with the state that it reads.
type folded struct {
	batch   *joiner.Batch
	release func() error
}

func (f *folded) close() error { return errors.Join(f.batch.Close(), f.release()) }

// noting lists the tables whose keys are noted: those under a cover as a whole, before or after the batch.
func (j *Join) noting(next map[string]Covering) []change.TableID {
	var ids []change.TableID
	for _, covering := range []map[string]Covering{j.at.Covering, next} {
		for t, c := range covering {
			if id := change.ParseTableID(t); c.Whole && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	slices.SortFunc(ids, change.TableID.Compare)
	return ids
}

func (j *Join) apply(ctx context.Context, b *joiner.Batch, rec *stream.Record, rows map[string]int) error {
	p := rec.Progress
	j.shapes.announce(p)
	if rec.Skipped {
		return nil
	}
	switch p.Kind {
	case change.Changes:
		for ev, err := range j.shapes.events(ctx, rec) {
			if err != nil {
				return err
			}
			rows[ev.Table.ID.String()]++
			if err := b.Apply(&ev); err != nil {
				return err
			}
		}
	case change.Begin:
		next := j.coveringAfter(p)
		for _, t := range p.Cover.Whole {
			// A resync of a table under a heal does not take over: the heal's notes go on.
			if next[t].Cover == p.Cover.ID {
				b.BeginNotes(change.ParseTableID(t))
			}
		}
	case change.Chunk:
		rows[p.Cover.Table] += int(rec.Rows)
		return b.Cover(change.ParseTableID(p.Cover.Table), p.Cover, j.shapes.events(ctx, rec))
	case change.End:
		for t, c := range j.at.Covering {
			if c.Whole && c.Cover == p.Cover.ID {
				if err := b.Sweep(change.ParseTableID(t)); err != nil {
					return err
				}
			}
		}
	case change.Schema, change.Idle:
	default:
		return fmt.Errorf("read stream %s: a record of kind %s", j.cfg.Raw, p.Kind)
	}
	return nil
}
