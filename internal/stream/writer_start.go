package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// pollWait is how long a single read waits for records before the caller looks around again.
const pollWait = 500 * time.Millisecond

// Start takes the right to write and finds out where the stream stands: InitProducerID first, then the
// newest progress record and meta, read to the ends of their partitions. It is the answer to every error
// of a Writer as well: if the newest record is this process's own, or nobody wrote since, it goes on from
// there; if another process wrote, it returns ErrFenced, and this process must exit. A stream that is empty
// or that lost a tail in part begins a new incarnation (State.Fresh): the caller drops its ledger and heals
// all tables. What lives in memory only is lost either way.
func (w *Writer) Start(ctx context.Context) (*State, error) {
	w.usable, w.open = false, false
	if err := w.p.Init(ctx); err != nil {
		return nil, w.fail(fmt.Errorf("take the right to write stream %s: %w", w.cfg.Stream, err))
	}
	f, err := w.look(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the newest record of stream %s: %w", w.cfg.Stream, err)
	}
	do, why := decideStart(f, w.cfg.Rules)
	if do == fenced {
		return nil, fmt.Errorf("start the writer of stream %s: record %s was written by process %s: %w",
			w.cfg.Stream, f.newest.ID, f.newest.Writer, ErrFenced)
	}
	s := &State{Meta: f.meta}
	w.drop = nil
	if do == newIncarnation {
		w.fresh(s, f, why)
	} else {
		s.Incarnation, s.Newest, s.Mark = f.newest.Incarnation, f.newest, f.newest.Mark(f.at)
	}
	w.state = s
	w.started, w.epochLost, w.usable = true, false, true
	return s, nil
}

// fresh makes the state of a new incarnation: numbered by its creation time, above the one before it even
// if the clock was set back; what meta held is removed by the first commit.
func (w *Writer) fresh(s *State, f found, why string) {
	s.Fresh, s.Why = true, why
	s.Incarnation = uint64(w.cfg.Now().UnixMicro())
	if f.newest != nil {
		s.Incarnation = max(s.Incarnation, f.newest.Incarnation+1, uint64(f.newest.SeqTo)+1)
	}
	if n := f.meta.Newest; n != nil {
		s.Incarnation = max(s.Incarnation, n.Progress.Incarnation+1, uint64(n.Progress.SeqTo)+1)
	}
	s.Mark = change.Mark{Incarnation: s.Incarnation, Offset: -1, Seq: change.Seq(s.Incarnation)}
	s.Meta = wire.NewMeta()
	w.drop = sortedKeys(w.live)
	w.live = map[string][]byte{}
}

// look reads progress and meta.
func (w *Writer) look(ctx context.Context) (found, error) {
	f := found{self: w.cfg.Process, again: w.started, epochLost: w.epochLost}
	if w.state != nil {
		f.seen = w.state.Mark
	}
	progress, meta := wire.Part{Topic: ProgressTopic(w.cfg.Stream)}, wire.Part{Topic: MetaTopic(w.cfg.Stream)}
	bounds, err := w.settled(ctx, []wire.Part{progress, meta})
	if err != nil {
		return found{}, err
	}
	f.progress = bounds[0]
	if f.newest, f.at, err = lastProgress(ctx, w.log, progress.Topic, bounds[0]); err != nil {
		return found{}, err
	}
	if f.meta, err = w.readMeta(ctx, meta.Topic, bounds[1]); err != nil {
		return found{}, err
	}
	if f.meta.Newest == nil {
		return f, nil
	}
	if f.newest == nil {
		f.newest, f.at = &f.meta.Newest.Progress, f.meta.Newest.Offset
	}
	f.ends, err = w.ends(ctx, f.meta.Newest.Progress.Parts)
	return f, err
}

// ends returns the ends of partitions; one that does not exist any more ends at 0.
func (w *Writer) ends(ctx context.Context, parts []wire.Part) ([]int64, error) {
	ends := make([]int64, len(parts))
	bounds, err := w.log.Bounds(ctx, parts)
	if errors.Is(err, ErrNoTopic) {
		for i := range parts {
			b, err := w.log.Bounds(ctx, parts[i:i+1])
			if errors.Is(err, ErrNoTopic) {
				continue
			}
			if err != nil {
				return nil, err
			}
			ends[i] = b[0].End
		}
		return ends, nil
	}
	for i, b := range bounds {
		ends[i] = b.End
	}
	return ends, err
}

// settled waits until everything that partitions held is readable: after InitProducerID nothing of this
// stream's is open any more, but a broker may still be at it.
func (w *Writer) settled(ctx context.Context, parts []wire.Part) ([]Bounds, error) {
	bounds, err := w.log.Bounds(ctx, parts)
	if err != nil {
		return nil, err
	}
	for i := range parts {
		for now := bounds[i]; now.Stable < bounds[i].End; {
			got, err := w.log.Read(ctx, []Want{{Topic: parts[i].Topic, From: now.Stable, MaxBytes: 1}}, pollWait)
			if err != nil {
				return nil, err
			}
			if now = got[0].Bounds; now.End < bounds[i].End {
				return nil, fmt.Errorf("%s lost its tail from offset %d on while it was read: %w", parts[i].Topic, now.End, ErrRestart)
			}
		}
		bounds[i].Stable = bounds[i].End
	}
	return bounds, nil
}

// lastProgress finds the newest committed progress record; nil if there is none.
func lastProgress(ctx context.Context, log Log, topic string, b Bounds) (*wire.Progress, int64, error) {
	last, err := lastEntry(ctx, log, topic, b, func(*Entry) bool { return true })
	if err != nil || last == nil {
		return nil, 0, err
	}
	p, err := decodeProgress(topic, last)
	return p, last.Offset, err
}

// readMeta folds the whole meta topic, and remembers the live records for the next rewriting.
func (w *Writer) readMeta(ctx context.Context, topic string, b Bounds) (*wire.Meta, error) {
	m := wire.NewMeta()
	w.live, w.sinceFull = map[string][]byte{}, 0
	w.metaFloor.Store(b.Start)
	err := scan(ctx, w.log, topic, b.Start, b.Stable, func(e *Entry) error {
		r := wire.MetaRecord{Key: string(e.Key), Value: e.Value}
		w.sinceFull++
		if r.Key != wire.MetaNewest {
			if w.live[r.Key] = r.Value; len(r.Value) == 0 {
				delete(w.live, r.Key)
			}
		}
		return m.Apply(r)
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}
