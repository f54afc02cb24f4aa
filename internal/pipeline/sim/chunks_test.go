package sim

import (
	"context"

	"github.com/etlsandbox/cdc/internal/pipeline"
	"github.com/etlsandbox/cdc/schemas/change"
)

// chunkReader reads chunks beside the log as snapshot.Reader does, one question to the server at a time;
// it belongs to one capture process and implements pipeline.ChunkReader.
type chunkReader struct {
	w       *world
	tables  [tableCount]*change.Table
	pending []*chunkRead
	results []pipeline.ChunkResult
}

// chunkRead is one request on its way.
type chunkRead struct {
	req   pipeline.ChunkRequest
	table int
	phase int
	owned int
	res   pipeline.ChunkResult
}

// Ordered implements pipeline.ChunkReader.
func (c *chunkReader) Ordered(t *change.Table) int {
	if c.w.faults["unordered-keys"] && t.ID == c.tables[buyers].ID {
		return 0
	}
	return 1
}

// Submit implements pipeline.ChunkReader.
func (c *chunkReader) Submit(_ context.Context, r pipeline.ChunkRequest) {
	q := &chunkRead{req: r, res: pipeline.ChunkResult{Job: r.Job, Range: r.Range}}
	for i, t := range c.tables {
		if t.ID == r.Table.ID {
			q.table = i
		}
	}
	c.pending = append(c.pending, q)
}

// Poll implements pipeline.ChunkReader.
func (c *chunkReader) Poll() (pipeline.ChunkResult, bool) {
	if len(c.results) == 0 {
		return pipeline.ChunkResult{}, false
	}
	r := c.results[0]
	c.results = c.results[1:]
	return r, true
}

func (c *chunkReader) drop() { c.pending, c.results = nil, nil }

// step asks the server one question for one of the requests.
func (c *chunkReader) step() {
	if len(c.pending) == 0 {
		return
	}
	i := c.w.r.IntN(len(c.pending))
	q := c.pending[i]
	if q.step(c.w) {
		c.results = append(c.results, q.res)
		c.pending = append(c.pending[:i], c.pending[i+1:]...)
	}
}

func intKey(k int) change.Key { return change.KeyOf(change.IntValue(int64(k))) }

// step returns true when the request is answered.
func (q *chunkRead) step(w *world) bool {
	src := w.src
	if q.req.Task == pipeline.PlanChunk {
		q.res.Range = q.plan(w)
		return true
	}
	switch q.phase {
	case 0: // wait until everything up to the registration is visible
		seen := src.prefix(executed)
		if src.exact {
			seen = src.prefix(visible)
		}
		if seen < placeOf(q.req.Registered) && !w.mutated("no-wait-until-executed") {
			return false
		}
	case 1:
		q.read(w)
		w.note("chunk %d of table %d read, registered %d: %s %v", q.req.Job, q.table, placeOf(q.req.Registered), span(q.req.Range), q.res.Rows)
		if src.exact { // the log's end, after the read
			q.res.High = position(src.end())
			return true
		}
	case 2: // owned first: a transaction moves from there to executed
		switch {
		case w.mutated("high-executed-first"), w.mutated("high-executed-only"):
			q.owned = src.top(executed, executed)
		default:
			q.owned = src.top(logged, visible)
		}
	case 3:
		high := q.owned
		switch {
		case w.mutated("high-executed-only"):
		case w.mutated("high-executed-first"):
			high = max(high, src.top(logged, visible))
		default:
			high = max(high, src.top(executed, executed))
		}
		q.res.High = position(high)
		return true
	}
	q.phase++
	return false
}

// plan ends the chunk behind one or two keys; behind the last key it has no end.
func (q *chunkRead) plan(w *world) change.KeyRange {
	r := q.req.Range
	first := 0
	for r.HasLo && first < rowsOf[q.table] && intKey(first) < r.Lo {
		first++
	}
	if hi := first + 1 + w.r.IntN(2); hi < rowsOf[q.table] && (!r.HasHi || intKey(hi) < r.Hi) {
		r.HasHi, r.Hi = true, intKey(hi)
	}
	return r
}

// read is the SELECT. A table without order is read in the server's order, which is the reverse.
func (q *chunkRead) read(w *world) {
	n := rowsOf[q.table]
	if q.req.Task == pipeline.ReadChunk {
		for k := range n {
			if r := row(q.table, k, *w.src.engine.at(q.table, k)); r != nil && q.req.Range.Contains(intKey(k)) {
				q.res.Rows = append(q.res.Rows, r)
			}
		}
		return
	}
	for k := n - 1; k >= 0; k-- {
		r := row(q.table, k, *w.src.engine.at(q.table, k))
		if r == nil || q.req.After != "" && intKey(k) >= q.req.After {
			continue
		}
		if len(q.res.Rows) == q.req.Rows {
			q.res.More = true
			return
		}
		q.res.Rows, q.res.Last = append(q.res.Rows, r), intKey(k)
	}
}
