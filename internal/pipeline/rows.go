package pipeline

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// shapes knows the shape of each table of a stream at any place that a reader may stand at: from the meta
// topic at start, and from the Begin and Schema records that pass.
type shapes struct {
	stream   string
	versions map[string]*wire.TableVersion
	topics   map[string]string // topic -> table
	decoders map[*change.Table]*wire.Decoder
}

func newShapes(name string) *shapes {
	return &shapes{stream: name, versions: map[string]*wire.TableVersion{}, topics: map[string]string{}, decoders: map[*change.Table]*wire.Decoder{}}
}

// load takes the shapes that the meta topic holds.
func (s *shapes) load(m *wire.Meta) {
	for name, v := range m.Tables {
		s.set(name, v)
	}
	for name, v := range m.Views {
		s.set(name, &v.Shape)
	}
}

func (s *shapes) set(name string, v *wire.TableVersion) {
	s.versions[name] = v
	s.topics[stream.DataTopic(s.stream, v.Table.ID)] = name
}

// announce takes the shapes of a Begin or Schema record.
func (s *shapes) announce(p *wire.Progress) {
	for _, t := range p.Tables {
		name := t.ID.String()
		if v := s.versions[name]; v == nil || v.From < p.SeqFrom && !v.Table.SameShape(t) {
			s.set(name, v.Next(p.SeqFrom, t))
		}
	}
}

// held returns the tables as they are at a place of the stream.
func (s *shapes) held(seq change.Seq) []*change.Table {
	var ts []*change.Table
	for _, v := range s.versions {
		if t := v.At(seq); t != nil {
			ts = append(ts, t)
		}
	}
	slices.SortFunc(ts, func(a, b *change.Table) int { return a.ID.Compare(b.ID) })
	return ts
}

func (s *shapes) at(table string, seq change.Seq) (*change.Table, error) {
	t := s.versions[table].At(seq)
	if t == nil {
		// What stands before a new incarnation of the stream, or too many shapes back, cannot be read any more.
		return nil, fmt.Errorf("read stream %s: the shape of %s at seq %d is not known: %w", s.stream, table, seq, stream.ErrGone)
	}
	return t, nil
}

// decode turns a data record into an event. Tombstones are not passed to it.
func (s *shapes) decode(d *stream.Data) (change.Event, error) {
	name, ok := s.topics[d.Topic]
	if !ok {
		return change.Event{}, fmt.Errorf("read stream %s: the table of topic %s is not known: %w", s.stream, d.Topic, stream.ErrGone)
	}
	t, err := s.at(name, d.Seq)
	if err != nil {
		return change.Event{}, err
	}
	dec := s.decoders[t]
	if dec == nil {
		dec = wire.NewDecoder(t)
		s.decoders[t] = dec
	}
	ev, err := dec.Decode(d.Value)
	if err != nil {
		return change.Event{}, fmt.Errorf("%s[%d] at offset %d: %w", d.Topic, d.Partition, d.Offset, err)
	}
	ev.Seq, ev.Idx, ev.Flags = d.Seq, int(d.Idx), d.Flags
	return ev, nil
}

// events iterates over a record's events, tombstones left out.
func (s *shapes) events(ctx context.Context, rec *stream.Record) iter.Seq2[change.Event, error] {
	return func(yield func(change.Event, error) bool) {
		for d, err := range rec.Open(ctx) {
			if err != nil {
				yield(change.Event{}, err)
				return
			}
			if d.Value == nil {
				continue
			}
			ev, err := s.decode(&d)
			if !yield(ev, err) || err != nil {
				return
			}
		}
	}
}

// rowWriter encodes events into a stream's open batch. The stream keeps what it is given until it is
// acknowledged, so each record's bytes are carved from slabs that are never used again.
type rowWriter struct {
	w       *stream.Writer
	enc     *wire.Encoder
	stream  string
	topics  map[*change.Table]string
	slab    []byte
	records int
}

const slabSize = 64 << 10

func newRowWriter(w *stream.Writer, enc *wire.Encoder, name string) *rowWriter {
	return &rowWriter{w: w, enc: enc, stream: name, topics: map[*change.Table]string{}}
}

// keep copies bytes into memory that nobody changes.
func (r *rowWriter) keep(b []byte) []byte {
	if b == nil {
		return nil
	}
	if len(b) > slabSize/4 {
		return append([]byte(nil), b...)
	}
	if cap(r.slab)-len(r.slab) < len(b) {
		r.slab = make([]byte, 0, slabSize)
	}
	n := len(r.slab)
	r.slab = append(r.slab, b...)
	return r.slab[n:len(r.slab):len(r.slab)]
}

// write appends an event as its records and returns the index after it: a change of key takes two.
func (r *rowWriter) write(ctx context.Context, ev *change.Event, nowMicros int64) (next int, err error) {
	topic := r.topics[ev.Table]
	if topic == "" {
		topic = stream.DataTopic(r.stream, ev.Table.ID)
		r.topics[ev.Table] = topic
	}
	idx := uint64(ev.Idx)
	first := true
	err = r.enc.Records(ev, nowMicros, func(rec wire.Record) error {
		if rec.Value != nil && !first {
			idx++
		}
		first = false
		row := stream.Row{Topic: topic, Key: r.keep(rec.Key), Value: r.keep(rec.Value), Seq: ev.Seq, Idx: idx, Flags: ev.Flags}
		for _, h := range rec.Headers {
			row.Flags |= change.KeyMoved
			row.Extra = append(row.Extra, stream.Header{Key: h.Key, Value: r.keep(h.Value)})
		}
		r.records++
		return r.w.Append(ctx, row)
	})
	return int(idx) + 1, err
}
