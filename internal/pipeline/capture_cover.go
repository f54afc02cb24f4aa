package pipeline

import (
	"context"
	"errors"
	"slices"

	"github.com/etlsandbox/cdc/cdc/snapshot"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// chunkJob is one chunk on its way: planned, registered and read, ready.
type chunkJob struct {
	id        int
	cover     string
	table     *change.Table
	unordered bool
	rng       change.KeyRange
	after     change.Key
	window    *snapshot.Window // from registration on
	result    *ChunkResult     // once read
	changed   []change.Key     // only without the rule that changed keys are rolled forward
}

// serveCovers does what is due for covers between two units and reports whether it did something.
func (c *Capture) serveCovers(ctx context.Context) (busy bool, err error) {
	if busy, err := c.apart(ctx); busy || err != nil {
		return busy, err
	}
	if err := c.pollChunks(ctx); err != nil {
		return false, err
	}
	for _, j := range c.jobs {
		done, err := c.tryEmit(ctx, j)
		if err != nil || done {
			return done, err
		}
	}
	if busy, err := c.serveAsk(ctx); busy || err != nil {
		return busy, err
	}
	return c.advanceCover(ctx)
}

// begin writes a cover's begin at a position, numbered above floor, with the shapes of its tables.
func (c *Capture) begin(ctx context.Context, cover change.Cover, tables []*change.Table, floor change.Seq, pos change.Position) error {
	if err := c.flush(ctx); err != nil {
		return err
	}
	if cover.ID == "" {
		cover.ID = c.cfg.NewID()
	}
	for _, t := range tables {
		if c.chunks.Ordered(t) == 0 && cover.Names(t.ID.String()) {
			cover.Whole = append(cover.Whole, t.ID.String())
		}
	}
	cover.Unordered = len(cover.Whole) > 0 && len(cover.Whole) == len(cover.Tables)
	if len(cover.Whole) > 0 {
		cover.Range = change.WholeTable() // without order there is no part of a table
	}
	cover.Back = c.ledger.back(cover, c.cfg.Rules)
	st := c.w.State()
	if c.cfg.Rules.off(seqAbove) {
		floor = 0
	}
	seq := max(st.Seq(), floor) + 1
	ch, err := c.ledger.begin(cover, seq, c.paused)
	if err != nil {
		return err
	}
	meta := ch.meta
	for _, t := range tables {
		name := t.ID.String()
		if v := st.Meta.Tables[name]; v == nil || !v.Table.SameShape(t) || !slices.Equal(v.Table.Fields, t.Fields) {
			r, err := wire.EncodeMeta(wire.MetaTablePrefix+name, v.Next(seq, t))
			if err != nil {
				return err
			}
			meta = append(meta, r)
		}
	}
	if err := c.w.Begin(ctx); err != nil {
		return err
	}
	c.unit.open = true
	p := wire.Progress{Kind: change.Begin, SeqFrom: seq, SeqTo: seq, Position: pos, Cover: &cover, Tables: tables}
	if err := c.commitUnit(ctx, p, meta); err != nil {
		return err
	}
	c.pos, c.ledger = pos, ch.next
	c.begins = append(c.begins, begun{cover, seq, c.w.State().Mark.Offset})
	if len(c.begins) > 64 {
		c.begins = c.begins[1:]
	}
	c.jobs = slices.DeleteFunc(c.jobs, func(j *chunkJob) bool {
		return c.ledger.covers[j.cover] == nil || !c.ledger.covers[j.cover].Cover.Names(j.table.ID.String())
	})
	return c.cfg.Fail("capture-begin")
}

// advanceCover starts reading further chunks, or ends a cover that is complete; the newest cover comes
// first, because an older one may be waiting for it.
func (c *Capture) advanceCover(ctx context.Context) (bool, error) {
	ids := c.ledger.ids()
	if c.held = len(ids) > 0 && c.cfg.HoldCovers(); c.held || len(ids) == 0 {
		return false, nil
	}
	for _, id := range slices.Backward(ids) {
		st := c.ledger.covers[id]
		busy, complete := c.advanceTables(ctx, st)
		switch {
		case busy:
			return true, nil
		case complete:
			return true, c.end(ctx, st)
		case len(c.jobs) >= c.cfg.Threads:
			return false, nil
		}
	}
	return false, nil
}

func (c *Capture) advanceTables(ctx context.Context, st *wire.CoverState) (busy, complete bool) {
	complete = true
	for _, name := range st.Cover.Tables {
		gap, ok := firstGap(c.taken(st, name), st.Cover.Range)
		if !ok {
			complete = complete && c.jobsOf(st.Cover.ID, name) == 0
			continue
		}
		complete = false
		t := c.tables[name]
		if t == nil || st.Paused[name] != "" || len(c.jobs) >= c.cfg.Threads {
			continue
		}
		if c.startJob(ctx, st, t, gap) {
			return true, false
		}
	}
	return false, complete
}

// taken is what of a table is done or on its way.
func (c *Capture) taken(st *wire.CoverState, table string) []change.KeyRange {
	done := st.Done[table]
	for _, j := range c.jobs {
		if j.cover == st.Cover.ID && j.table.ID.String() == table && j.window != nil && !j.unordered {
			done = mergeRange(done, j.rng)
		}
	}
	return done
}

func (c *Capture) jobsOf(cover, table string) (n int) {
	for _, j := range c.jobs {
		if j.cover == cover && j.table.ID.String() == table {
			n++
		}
	}
	return n
}

// startJob plans the next chunk of a table; only one plan of a table, and one chunk of a table that has no
// order, is under way at a time.
func (c *Capture) startJob(ctx context.Context, st *wire.CoverState, t *change.Table, gap change.KeyRange) bool {
	name := t.ID.String()
	unordered := c.chunks.Ordered(t) == 0
	for _, j := range c.jobs {
		if j.table.ID == t.ID && (unordered || j.window == nil) {
			return false
		}
	}
	rows := c.cfg.ChunkRows
	if n := c.rowsPer[name]; n > 0 {
		rows = n
	}
	c.nextJob++
	j := &chunkJob{id: c.nextJob, cover: st.Cover.ID, table: t, unordered: unordered, rng: gap}
	c.jobs = append(c.jobs, j)
	if !unordered {
		c.chunks.Submit(ctx, ChunkRequest{Job: j.id, Task: PlanChunk, Table: t, Range: gap, Rows: rows})
		return true
	}
	if done := st.Done[name]; len(done) > 0 {
		j.after = done[0].Hi
	}
	j.window = snapshot.NewWindow(t, change.WholeTable(), true, c.cfg.KeepLimit)
	c.chunks.Submit(ctx, ChunkRequest{Job: j.id, Task: ReadAfterChunk, Table: t, After: j.after, Rows: rows, Registered: c.pos})
	return true
}

// pollChunks takes finished reads; a planned range is registered here, between two units, at the place
// where the stream stands.
func (c *Capture) pollChunks(ctx context.Context) error {
	for {
		r, ok := c.chunks.Poll()
		if !ok {
			return nil
		}
		i := slices.IndexFunc(c.jobs, func(j *chunkJob) bool { return j.id == r.Job })
		if i < 0 {
			continue // its cover is void
		}
		j := c.jobs[i]
		if errors.Is(r.Err, snapshot.ErrKeyless) && !c.cfg.StopOnUnsupported {
			if err := c.putAside(ctx, j.table, r.Err); err != nil {
				return err
			}
			continue
		}
		if errors.Is(r.Err, ErrTableAhead) {
			// What the log says next explains it; behind the log's end of now nothing is to come that could.
			var err error
			if r.High, err = c.src.Now(ctx); err != nil {
				return err
			}
			j.result = &r
			continue
		}
		if r.Err != nil {
			return r.Err
		}
		if j.window != nil {
			j.result = &r
			continue
		}
		j.rng = r.Range
		j.window = snapshot.NewWindow(j.table, j.rng, false, c.cfg.KeepLimit)
		c.chunks.Submit(ctx, ChunkRequest{Job: j.id, Task: ReadChunk, Table: j.table, Range: j.rng, Registered: c.pos})
	}
}

// putAside pauses a table that cannot be read, between two units.
func (c *Capture) putAside(ctx context.Context, t *change.Table, why error) error {
	name := t.ID.String()
	c.setPaused(TableChange{Table: name, Refused: why.Error(),
		Hint: "declare a key, or leave the table out (source.tables.exclude); with a key, run cdc resync " + name})
	return c.hold(ctx, []*change.Table{t})
}

// tryEmit emits a chunk that was read once the stream has passed what the read may have seen.
func (c *Capture) tryEmit(ctx context.Context, j *chunkJob) (bool, error) {
	if j.result == nil {
		return false, nil
	}
	if j.result.Err != nil {
		return c.settleAhead(ctx, j)
	}
	if why := j.window.Spoiled(); why != "" {
		name := j.table.ID.String()
		rows := c.cfg.ChunkRows
		if n := c.rowsPer[name]; n > 0 {
			rows = n
		}
		c.rowsPer[name] = max(1, rows/2)
		c.drop(j)
		return true, nil
	}
	passed, err := c.places.Contains(c.pos, j.result.High)
	if err != nil || !passed {
		return false, err
	}
	rows, err := j.window.Roll(j.result.Rows)
	if err != nil {
		return false, err
	}
	if len(j.changed) > 0 {
		rows = slices.DeleteFunc(rows, func(r change.Row) bool {
			k, err := j.table.RowKey(r)
			return err == nil && slices.Contains(j.changed, k)
		})
	}
	return true, c.emit(ctx, j, rows)
}

// note lets a chunk's window see a change.
func (c *Capture) note(j *chunkJob, ev *change.Event) error {
	r := c.cfg.Rules
	switch {
	case r.off(noRollForward):
		return nil
	case r.off(rollOnlyToHigh) && j.result != nil:
		if passed, err := c.places.Contains(c.pos, j.result.High); passed || err != nil {
			return err
		}
	case r.off(dropChangedKeys):
		k, err := ev.Key()
		if err != nil {
			return err
		}
		j.changed = append(j.changed, k)
	}
	return j.window.Note(ev)
}

func (c *Capture) drop(j *chunkJob) {
	c.jobs = slices.DeleteFunc(c.jobs, func(o *chunkJob) bool { return o == j })
}

// emit writes the exact content of a range at this boundary, under a Seq of its own.
func (c *Capture) emit(ctx context.Context, j *chunkJob, rows []change.Row) error {
	if err := c.flush(ctx); err != nil {
		return err
	}
	st := c.ledger.covers[j.cover]
	name := j.table.ID.String()
	done := j.rng
	if j.unordered {
		done = change.WholeTable()
		if j.result.More {
			done = change.KeyRange{HasHi: true, Hi: j.result.Last}
		}
	}
	ch, err := c.ledger.done(j.cover, name, done, j.unordered)
	if err != nil {
		return err
	}
	if err := c.w.Begin(ctx); err != nil {
		return err
	}
	c.unit.open, c.unit.byTable = true, map[TableOp]int{}
	seq := c.w.State().Seq() + 1
	origin := &change.Origin{Snapshot: "incremental", CommitMicros: c.clock.Now().UnixMicro()}
	if st.Cover.Heal {
		origin.Snapshot = "true"
	}
	for i, r := range rows {
		ev := change.Event{Table: j.table, Op: change.Read, After: r, Seq: seq, Idx: i, Origin: origin}
		if _, err := c.rows.write(ctx, &ev, origin.CommitMicros); err != nil {
			return err
		}
	}
	c.unit.rows = len(rows)
	c.unit.byTable[TableOp{name, change.Read}] = len(rows)
	part := st.Cover
	part.Back = change.Position{}
	part.Tables, part.Whole, part.Table, part.Range, part.Unordered = nil, nil, name, j.rng, j.unordered
	if c.cfg.Rules.off(rangesWithoutEnds) && !j.unordered {
		if part.Range, err = between(j.table, rows); err != nil {
			return err
		}
	}
	p := wire.Progress{Kind: change.Chunk, SeqFrom: seq, SeqTo: seq, Position: c.pos, Cover: &part}
	if err := c.commitUnit(ctx, p, ch.meta); err != nil {
		return err
	}
	c.ledger = ch.next
	c.drop(j)
	return c.cfg.Fail("capture-chunk")
}

// end closes a cover whose tables are done, and notes since when they are complete.
func (c *Capture) end(ctx context.Context, st *wire.CoverState) error {
	if err := c.flush(ctx); err != nil {
		return err
	}
	if err := c.cfg.Fail("capture-before-end"); err != nil {
		return err
	}
	seq := c.w.State().Seq() + 1
	ch := c.ledger.end(st.Cover.ID)
	meta := ch.meta
	if st.Cover.For == "" && st.Cover.Range == change.WholeTable() {
		r, err := c.coverage(st.Cover.Tables, seq)
		if err != nil {
			return err
		}
		meta = append(meta, r)
	}
	if err := c.w.Begin(ctx); err != nil {
		return err
	}
	c.unit.open = true
	part := st.Cover
	p := wire.Progress{Kind: change.End, SeqFrom: seq, SeqTo: seq, Position: c.pos, Cover: &part}
	if err := c.commitUnit(ctx, p, meta); err != nil {
		return err
	}
	c.ledger = ch.next
	c.tellCoverage()
	return c.cfg.Fail("capture-after-end")
}

// tellCoverage says since which unit each table is complete in the stream, all its columns included.
func (c *Capture) tellCoverage() {
	since := map[string]change.Seq{}
	if have := c.w.State().Meta.Coverage; have != nil {
		for name, columns := range have.Tables {
			for _, seq := range columns {
				since[name] = max(since[name], seq)
			}
		}
	}
	c.cfg.Covered(since)
}

func (c *Capture) coverage(tables []string, seq change.Seq) (wire.MetaRecord, error) {
	cov := wire.Coverage{V: wire.MetaVersion, Tables: map[string]map[string]change.Seq{}}
	if have := c.w.State().Meta.Coverage; have != nil {
		for t, cols := range have.Tables {
			if c.tables[t] != nil {
				cov.Tables[t] = cols
			}
		}
	}
	for _, name := range tables {
		t := c.tables[name]
		if t == nil {
			continue
		}
		cols := map[string]change.Seq{}
		for i := range t.Columns {
			cols[t.Columns[i].Name] = seq
		}
		cov.Tables[name] = cols
	}
	return wire.EncodeMeta(wire.MetaCoverage, &cov)
}
