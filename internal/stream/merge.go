package stream

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Data is one data record. Key, Value and Headers are never changed afterwards and may be kept.
type Data struct {
	Topic      string
	Partition  int32
	Offset     int64
	Seq        change.Seq
	Idx        uint64
	Flags      change.Flags
	Key, Value []byte // a nil Value is a tombstone
	Headers    []Header
}

// Open iterates over the record's data in order of (Seq, Idx), a tombstone after its delete, from the
// start at each call. It reads exactly the ranges that the progress record names; memory is bounded by
// ReaderConfig.Memory, whatever the size. A range that is not readable yet is waited for. An error ends the
// iteration; a *GoneError means what it means for Next.
func (rec *Record) Open(ctx context.Context) iter.Seq2[Data, error] {
	return func(yield func(Data, error) bool) {
		m := newMerge(rec)
		for {
			d, ok, err := m.next(ctx)
			if err != nil {
				yield(Data{}, fmt.Errorf("read units %d..%d of stream %s: %w", rec.Progress.SeqFrom, rec.Progress.SeqTo, rec.r.cfg.Stream, err))
				return
			}
			if !ok || !yield(d, nil) {
				return
			}
		}
	}
}

// cursor reads one partition's range. Its head is the first of buf.
type cursor struct {
	span
	at    int64   // reading goes on here
	buf   []Entry // read and not yielded, all inside of the range
	head  place   // of buf[0]
	prev  place   // of the record before it
	count int64   // records taken
	dead  int64   // of them, tombstones
}

// merge is a merge of sorted partitions: a heap of cursors that have a head, and those that need a read.
type merge struct {
	rec   *Record
	heap  cursors
	empty []*cursor
}

func newMerge(rec *Record) *merge {
	m := &merge{rec: rec}
	for _, p := range rec.parts {
		m.empty = append(m.empty, &cursor{span: newSpan(rec.Progress, p, rec.r.cfg.Rules), at: p.From})
	}
	return m
}

// next returns the record that comes next in order, false at the end.
func (m *merge) next(ctx context.Context) (Data, bool, error) {
	// Whoever has no head might hold the next one: read it first. Partitions that are ahead keep what they
	// have and fetch nothing.
	for len(m.empty) > 0 {
		if err := m.fill(ctx); err != nil {
			return Data{}, false, err
		}
	}
	if len(m.heap) == 0 {
		return Data{}, false, nil
	}
	c := m.heap[0]
	e := &c.buf[0]
	d := Data{
		Topic: c.part.Topic, Partition: c.part.Partition, Offset: e.Offset,
		Seq: c.head.seq, Idx: c.head.idx, Flags: c.head.flags, Key: e.Key, Value: e.Value, Headers: e.Headers,
	}
	c.buf = c.buf[1:]
	if len(c.buf) > 0 {
		if err := c.setHead(); err != nil {
			return Data{}, false, err
		}
		heap.Fix(&m.heap, 0)
		return d, true, nil
	}
	heap.Pop(&m.heap)
	m.empty = append(m.empty, c)
	return d, true, nil
}

// fill makes one read for all cursors that need one.
func (m *merge) fill(ctx context.Context) error {
	r := m.rec.r
	var wanting []*cursor
	for _, c := range m.empty {
		if c.at < c.part.Next {
			if buf, ok := r.ahead.take(c.part); ok && c.at == c.part.From {
				c.accept(buf, c.part.Next)
			} else {
				wanting = append(wanting, c)
			}
		}
	}
	if len(wanting) > 0 {
		if err := m.read(ctx, wanting); err != nil {
			return err
		}
	}
	still := m.empty[:0]
	for _, c := range m.empty {
		switch {
		case len(c.buf) > 0:
			if err := c.setHead(); err != nil {
				return err
			}
			heap.Push(&m.heap, c)
		case c.at >= c.part.Next:
			if why := c.done(c.count, c.dead); why != "" {
				return c.gone(c.part.From, why)
			}
		default:
			still = append(still, c)
		}
	}
	m.empty = still
	return nil
}

func (m *merge) read(ctx context.Context, cs []*cursor) error {
	r := m.rec.r
	// What is read comes decompressed and unpacked: small rows then take some thirty times what is stored.
	share := int32(max(16<<10, min(512<<10, r.cfg.Memory/32/len(cs))))
	wants := make([]Want, len(cs))
	for i, c := range cs {
		wants[i] = Want{Topic: c.part.Topic, Partition: c.part.Partition, From: c.at, MaxBytes: share}
	}
	got, err := r.log.Read(ctx, wants, pollWait)
	if errors.Is(err, ErrNoTopic) {
		return cs[0].gone(cs[0].at, fmt.Sprintf("a topic of this record was deleted: %v", err))
	}
	if err != nil {
		return err
	}
	stalled := false
	for i, c := range cs {
		f := got[i]
		state, why := c.ready(c.at, f.Bounds)
		switch state {
		case lost:
			if f.Bounds.End < c.part.Next && c.at >= f.Bounds.Start && r.late.wait(c.part.Topic, c.part.Partition, c.part.Next) {
				continue
			}
			return c.gone(c.at, why)
		case notYet:
			if !stalled { // the first one stands for all
				stalled = true
				if err := r.stall(ctx, c.part.Topic, c.part.Partition, c.part.Next, f.Bounds); err != nil {
					return err
				}
			}
			continue
		}
		n := 0
		for n < len(f.Records) && f.Records[n].Offset < c.part.Next {
			n++
		}
		if n < len(f.Records) {
			r.ahead.put(c.part, f, n, r.horizon(c.part.Topic, c.part.Partition))
		}
		next := f.Next
		if !c.gated && f.Bounds.Stable < c.part.Next {
			next = c.part.Next // only with the rule off: what is not readable is left out
		}
		c.accept(f.Records[:n:n], next)
	}
	return nil
}

func (c *cursor) accept(buf []Entry, next int64) {
	c.buf, c.at = buf, min(next, c.part.Next)
	c.count += int64(len(buf))
	for i := range buf {
		if buf[i].Value == nil {
			c.dead++
		}
	}
}

// setHead decodes and judges the first record of buf.
func (c *cursor) setHead() error {
	e := &c.buf[0]
	p, err := decodeHeaders(e.Headers)
	if err != nil {
		return c.gone(e.Offset, fmt.Sprintf("%v: a record that no writer of ours wrote", err))
	}
	if why := c.data(p); why != "" {
		return c.gone(e.Offset, why)
	}
	if compare(p, c.prev) < 0 {
		return c.gone(e.Offset, fmt.Sprintf("seq %d index %d follows seq %d index %d: the range is out of order", p.seq, p.idx, c.prev.seq, c.prev.idx))
	}
	c.head, c.prev = p, p
	return nil
}

func (c *cursor) gone(offset int64, why string) error {
	return &GoneError{Topic: c.part.Topic, Partition: c.part.Partition, Offset: offset, Reason: why}
}

func compare(a, b place) int { return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.idx, b.idx)) }

// cursors is a heap by head; of equal heads the one that the progress record names first comes first.
type cursors []*cursor

func (h cursors) Len() int { return len(h) }
func (h cursors) Less(i, j int) bool {
	a, b := h[i], h[j]
	return cmp.Or(compare(a.head, b.head), cmp.Compare(a.part.Topic, b.part.Topic), cmp.Compare(a.part.Partition, b.part.Partition)) < 0
}
func (h cursors) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push and Pop are container/heap's.
func (h *cursors) Push(x any) { *h = append(*h, x.(*cursor)) }

// Pop removes the last one.
func (h *cursors) Pop() any {
	old := *h
	c := old[len(old)-1]
	*h = old[:len(old)-1]
	return c
}
