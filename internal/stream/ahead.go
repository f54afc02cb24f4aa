package stream

import (
	"slices"

	"github.com/etlsandbox/cdc/schemas/wire"
)

// ahead keeps records that one read brought beyond the range it was for, as far as progress records vouch
// for them: small batches would otherwise cost a read each.
type ahead struct {
	limit   int
	bytes   int
	windows []*window // oldest first
}

// window is what is known of one partition: every committed record of [from, next).
type window struct {
	topic      string
	partition  int32
	from, next int64
	records    []Entry
	bytes      int
}

func newAhead(limit int) *ahead { return &ahead{limit: limit} }

func (a *ahead) reset() { a.bytes, a.windows = 0, nil }

func (a *ahead) find(topic string, partition int32) int {
	return slices.IndexFunc(a.windows, func(w *window) bool { return w.topic == topic && w.partition == partition })
}

// take returns the records of a whole range, if they are here.
func (a *ahead) take(p wire.Part) ([]Entry, bool) {
	i := a.find(p.Topic, p.Partition)
	if i < 0 {
		return nil, false
	}
	w := a.windows[i]
	if p.From < w.from || p.Next > w.next {
		return nil, false
	}
	lo := search(w.records, p.From)
	hi := search(w.records, p.Next)
	return w.records[lo:hi:hi], true
}

// put keeps the records of f from index n on that lie before the horizon, in place of what was kept of
// the partition.
func (a *ahead) put(p wire.Part, f Fetched, n int, horizon int64) {
	if i := a.find(p.Topic, p.Partition); i >= 0 {
		a.drop(i)
	}
	next := min(f.Next, horizon)
	if next <= f.Records[n].Offset {
		return
	}
	w := &window{topic: p.Topic, partition: p.Partition, from: p.Next, next: next, records: f.Records[n:search(f.Records, next)]}
	for i := range w.records {
		w.bytes += len(w.records[i].Key) + len(w.records[i].Value) + 128
	}
	a.windows = append(a.windows, w)
	a.bytes += w.bytes
	for a.bytes > a.limit {
		a.drop(0)
	}
}

func (a *ahead) drop(i int) {
	a.bytes -= a.windows[i].bytes
	a.windows = slices.Delete(a.windows, i, i+1)
}

// search returns the index of the first record at or after the offset.
func search(records []Entry, offset int64) int {
	i, _ := slices.BinarySearchFunc(records, offset, func(e Entry, o int64) int { return int(min(1, max(-1, e.Offset-o))) })
	return i
}
