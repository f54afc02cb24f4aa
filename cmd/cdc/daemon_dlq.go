package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/etlsandbox/cdc/internal/admin"
	"github.com/etlsandbox/cdc/internal/config"
	"github.com/etlsandbox/cdc/internal/pipeline"
	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// quarantineReader is a destination that lists what it refuses, and can be told to forget it.
type quarantineReader interface {
	Entries(ctx context.Context, stream string) ([]sinks.Entry, error)
	Forget(ctx context.Context, e sinks.Entry) (done bool, err error)
}

// refused is one entry of one sink.
type refused struct {
	sink string
	sinks.Entry
}

func (r refused) id() string {
	h := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s\x00%s\x00%d", r.sink, r.Stream, r.Table, r.Key, r.Seq))
	return hex.EncodeToString(h[:6])
}

func (r refused) letter() admin.DeadLetter {
	return admin.DeadLetter{ID: r.id(), Sink: r.sink, Stream: r.Stream, Table: r.Table, Key: r.Key, Seq: uint64(r.Seq), Reason: r.Reason, At: r.At}
}

// withQuarantine opens a destination whose quarantine can be read.
func withQuarantine(name string, c *config.Sink, f func(quarantineReader) error) error {
	dst, err := openReader(name, c)
	if err != nil {
		return err
	}
	q, ok := dst.(quarantineReader)
	if !ok {
		return errors.Join(admin.Refused(fmt.Sprintf("the quarantine of a sink of type %s cannot be listed", c.Type), "select from cdc_quarantine"), dst.Close())
	}
	return errors.Join(f(q), dst.Close())
}

// refusedRows asks the destinations, which decide, what they refuse.
func (s *service) refusedRows(ctx context.Context, sink string) ([]refused, error) {
	cfg := s.settings()
	if _, ok := cfg.Sinks[sink]; sink != "" && !ok {
		return nil, admin.NotFound(fmt.Sprintf("sink %q is not configured", sink), "cdc status lists the sinks")
	}
	var out []refused
	for _, name := range sortedNames(cfg.Sinks) {
		c := cfg.Sinks[name]
		if sink != "" && sink != name || sink == "" && !c.Enabled {
			continue
		}
		list, err := s.deliveries(name, &c)
		if err != nil {
			return nil, err
		}
		err = withQuarantine(name, &c, func(q quarantineReader) error {
			for _, l := range list {
				entries, err := q.Entries(ctx, l.stream)
				if err != nil {
					return fmt.Errorf("ask sink %s what it refuses: %w", name, err)
				}
				for _, e := range entries {
					out = append(out, refused{name, e})
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// DeadLetters implements admin.DeadLetterOperator.
func (s *service) DeadLetters(ctx context.Context, sink string) ([]admin.DeadLetter, error) {
	rows, err := s.refusedRows(ctx, sink)
	if err != nil {
		return nil, err
	}
	var out []admin.DeadLetter
	for _, r := range rows {
		out = append(out, r.letter())
	}
	return out, nil
}

// DeadLetter implements admin.DeadLetterOperator.
func (s *service) DeadLetter(ctx context.Context, id string) (admin.DeadLetter, error) {
	rows, err := s.refusedRows(ctx, "")
	if err != nil {
		return admin.DeadLetter{}, err
	}
	i := slices.IndexFunc(rows, func(r refused) bool { return r.id() == id })
	if i < 0 {
		return admin.DeadLetter{}, admin.NotFound("no refused row has the id "+id, "cdc dlq list names them")
	}
	r, out := rows[i], rows[i].letter()
	s.mu.Lock()
	deliver := s.deliver
	s.mu.Unlock()
	if deliver == nil {
		return out, nil // the broker is not asked while nothing runs
	}
	l, ok, err := s.letter(ctx, deliver.client, r.sink, func(l *pipeline.Letter) bool {
		return l.Stream == r.Stream && l.Table == r.Table && l.Key == r.Key && l.Seq == r.Seq
	})
	if err != nil && !errors.Is(err, stream.ErrNoTopic) {
		return out, err
	}
	if ok {
		out.Class = l.Class
		for _, v := range l.Row {
			out.Row = append(out.Row, admin.DeadLetterValue(v))
		}
	}
	return out, nil
}

// pick finds the rows that a request names; ids that are not listed any more are gone.
func (s *service) pick(ctx context.Context, r admin.DeadLetterRequest) (rows []refused, gone []string, err error) {
	all, err := s.refusedRows(ctx, r.Sink)
	if err != nil {
		return nil, nil, err
	}
	if len(r.IDs) == 0 {
		return all, nil, nil
	}
	for _, id := range r.IDs {
		i := slices.IndexFunc(all, func(o refused) bool { return o.id() == id })
		if i < 0 {
			gone = append(gone, id)
			continue
		}
		rows = append(rows, all[i])
	}
	return rows, gone, nil
}

// ReplayDeadLetters implements admin.DeadLetterOperator. What is replayed is not the letter but the row as it
// is now, by a cover of its key meant for the sink alone: nothing newer can be overwritten.
func (s *service) ReplayDeadLetters(ctx context.Context, r admin.DeadLetterRequest) (admin.DeadLetterReport, error) {
	var report admin.DeadLetterReport
	rows, gone, err := s.pick(ctx, r)
	if report.Gone = gone; err != nil {
		return report, err
	}
	type part struct {
		sink, stream, table string
	}
	var order []part
	ranges := map[part]change.KeyRange{}
	cfg := s.settings()
	for _, row := range rows {
		if s.pauses.sink(row.sink) {
			return report, admin.Refused("sink "+row.sink+" is paused", "cdc sink resume "+row.sink)
		}
		c := cfg.Sinks[row.sink]
		list, err := s.deliveries(row.sink, &c)
		if err != nil {
			return report, err
		}
		t := targetOf(list, row.Stream, row.Table)
		if t == nil {
			report.Gone = append(report.Gone, row.id()) // it is not delivered any more
			continue
		}
		rng := change.WholeTable()
		if key, err := sinks.ParseKey(row.Key, t.Table.KeyTypes()); err == nil {
			rng = keysOf(key, t.Table.KeyTypes())
		}
		p := part{row.sink, row.Stream, row.Table}
		if have, ok := ranges[p]; ok {
			rng = pipeline.Span(have, rng)
		} else {
			order = append(order, p)
		}
		ranges[p] = rng
		report.Done = append(report.Done, row.letter())
	}
	for _, p := range order {
		queue := s.asks
		if p.stream == cfg.Name {
			queue = s.rawAsks
		}
		one, err := begin(ctx, queue.Ask, pipeline.Ask{Reader: p.sink, Tables: []string{p.table}, Range: ranges[p]})
		if err != nil {
			return report, err
		}
		report.Covers = append(report.Covers, one.Covers...)
	}
	return report, nil
}

func targetOf(list []delivered, stream, table string) *sinks.Target {
	for _, l := range list {
		for i := range l.targets {
			if l.stream == stream && l.targets[i].From == table {
				return &l.targets[i]
			}
		}
	}
	return nil
}

// DropDeadLetters implements admin.DeadLetterOperator.
func (s *service) DropDeadLetters(ctx context.Context, r admin.DeadLetterRequest) (admin.DeadLetterReport, error) {
	var report admin.DeadLetterReport
	rows, gone, err := s.pick(ctx, r)
	if report.Gone = gone; err != nil {
		return report, err
	}
	cfg := s.settings()
	for _, row := range rows {
		c := cfg.Sinks[row.sink]
		err := withQuarantine(row.sink, &c, func(q quarantineReader) error {
			done, err := q.Forget(ctx, row.Entry)
			switch {
			case err != nil:
				return err
			case done:
				report.Done = append(report.Done, row.letter())
			default:
				report.Gone = append(report.Gone, row.id())
			}
			return nil
		})
		if err != nil {
			return report, err
		}
	}
	return report, nil
}

// askQuarantineEvery is how often a destination that refuses rows is asked which are left.
const askQuarantineEvery = 10 * time.Second

// watchQuarantine returns a function that counts what the destinations refuse: once after a sink runs, and now
// and then while there is something.
func (s *service) watchQuarantine() func() {
	asked := map[string]time.Time{}
	return func() {
		states := s.sinkStates()
		for _, name := range sortedNames(s.settings().Sinks) {
			if states[name].State != "running" {
				delete(asked, name)
				continue
			}
			last, once := asked[name]
			if once && (s.track.Quarantined(name) == 0 || time.Since(last) < askQuarantineEvery) {
				continue
			}
			asked[name] = time.Now()
			ctx, cancel := context.WithTimeout(context.Background(), askQuarantineEvery/2)
			rows, err := s.refusedRows(ctx, name)
			cancel()
			if err != nil {
				s.log.Debug("what the sink refuses is not known", "sink", name, "err", err)
				continue
			}
			count := map[string]int{}
			for _, r := range rows {
				count[r.Table]++
			}
			s.track.Refused(name, count)
		}
	}
}
