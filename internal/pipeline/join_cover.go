package pipeline

import (
	"context"
	"errors"
	"slices"

	"github.com/etlsandbox/cdc/joiner"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// newViews begins the cover of views that the stream does not have yet, or has under another definition.
func (j *Join) newViews(ctx context.Context) (bool, error) {
	defined := true
	for _, p := range j.cfg.Plans {
		v := j.w.State().Meta.Views[p.Name]
		if v != nil && v.Hash == p.Hash {
			continue
		}
		if j.withheld(j.at.Covering, p.Name) {
			defined = false
			continue
		}
		// A new view is a cover that only adds; of a changed one, what destinations hold is not true.
		return true, j.begin(ctx, change.Cover{Heal: v != nil, Tables: []string{p.Name}}, 0, j.at, nil)
	}
	if defined {
		j.cfg.Defined(j.w.State().Seq())
	}
	return false, nil
}

// fill begins the cover that a waiting ask wants, once all of its views can be covered. It does not wait for those
// that somebody has to mend first: hold takes them out of the reader's cover again.
func (j *Join) fill(ctx context.Context) (bool, error) {
	for i := 0; i < len(j.waiting); {
		a := j.waiting[i]
		if len(a.Tables) == 0 {
			for _, p := range j.cfg.Plans {
				a.Tables = append(a.Tables, p.Name)
			}
		}
		refused := j.refuses(a)
		if refused == nil && !answered(j.begins, a) && j.mustWait(a) {
			i++
			continue
		}
		j.waiting = slices.Delete(j.waiting, i, i+1)
		switch {
		case refused != nil && a.Done != nil:
			a.Done("", refused)
			continue
		case refused != nil, answered(j.begins, a):
			continue
		}
		cover := change.Cover{ID: j.cfg.NewID(), Heal: a.Heal, For: a.Reader, Tables: slices.Clone(a.Tables), Range: a.Range}
		if err := j.begin(ctx, cover, a.Floor, j.at, nil); err != nil {
			return false, err
		}
		if a.Done != nil {
			a.Done(cover.ID, nil)
		}
		return true, nil
	}
	return false, nil
}

// refuses says why an ask is not served; a reader asks again, an operator is told.
func (j *Join) refuses(a Ask) error {
	for _, name := range a.Tables {
		switch {
		case j.plan(name) == nil:
			return &StopError{What: "view " + name + " is not known", Hint: "cdc view list names them"}
		case a.Done != nil && j.isAside(name):
			return &StopError{What: "view " + name + " does not fit its tables any more", Hint: "cdc status says why; mend its file and start again"}
		case a.Done != nil && j.stuck(name):
			return &StopError{What: "view " + name + " reads a table that is paused", Hint: "cdc status says why, and what ends the pause"}
		}
	}
	return nil
}

// mustWait reports whether a view of an ask cannot be covered yet: its tables' raw end is still to come.
func (j *Join) mustWait(a Ask) bool {
	return slices.ContainsFunc(a.Tables, func(name string) bool {
		return j.w.State().Meta.Views[name] == nil || j.withheld(j.at.Covering, name) && !j.stuck(name)
	})
}

// begin writes the begin of a cover of views, together with what else moves the state to m.
func (j *Join) begin(ctx context.Context, cover change.Cover, floor change.Seq, m JoinMeta, b *folded) error {
	if cover.ID == "" {
		cover.ID = j.cfg.NewID()
	}
	cover.Back = j.ledger.back(cover, j.cfg.Rules)
	st := j.w.State()
	if j.cfg.Rules.off(seqAbove) {
		floor = 0
	}
	seq := max(st.Seq(), floor) + 1
	ch, err := j.ledger.begin(cover, seq, nil)
	if err != nil {
		return err
	}
	meta := ch.meta
	p := wire.Progress{Kind: change.Begin, SeqFrom: seq, SeqTo: seq, Cover: &cover}
	for _, name := range cover.Tables {
		pl := j.plan(name)
		p.Tables = append(p.Tables, pl.Output)
		v := st.Meta.Views[name]
		if v != nil && v.Hash == pl.Hash && v.Shape.Table.SameShape(pl.Output) {
			continue
		}
		n := &wire.ViewState{V: wire.MetaVersion, Hash: pl.Hash}
		if v == nil {
			n.Shape = *(*wire.TableVersion)(nil).Next(seq, pl.Output)
		} else {
			n.Shape = *v.Shape.Next(seq, pl.Output)
		}
		r, err := wire.EncodeMeta(wire.MetaViewPrefix+name, n)
		if err != nil {
			return err
		}
		meta = append(meta, r)
	}
	if err := j.w.Begin(ctx); err != nil {
		return err
	}
	if err := j.commit(ctx, p, meta, m, b, nil); err != nil {
		return err
	}
	j.ledger = ch.next
	if j.cfg.Rules.off(chunksFromStateAtBegin) {
		if j.fixed, _, err = j.state.Read(); err != nil {
			return err
		}
	}
	j.begins = append(j.begins, begun{cover, seq, j.w.State().Mark.Offset})
	if len(j.begins) > 64 {
		j.begins = j.begins[1:]
	}
	return j.cfg.Fail("join-begin")
}

// coverable reports whether a chunk or an end of a view's cover could be written now.
func (j *Join) coverable() bool {
	_, _, ok := j.nextChunk()
	return ok && !j.cfg.HoldCovers()
}

// nextChunk finds the cover to go on with, newest first, and the view; "" when the cover is complete.
func (j *Join) nextChunk() (st *wire.CoverState, name string, ok bool) {
	for _, id := range slices.Backward(j.ledger.ids()) {
		st := j.ledger.covers[id]
		complete := true
		for _, name := range st.Cover.Tables {
			if _, more := firstGap(st.Done[name], st.Cover.Range); !more || j.plan(name) == nil {
				continue // done, or its view is gone; one that is put aside is neither
			}
			complete = false
			if !j.withheld(j.at.Covering, name) || j.cfg.Rules.off(chunksBeforeRawEnd) {
				return st, name, true
			}
		}
		if complete {
			return st, "", true
		}
	}
	return nil, "", false
}

// advanceCover writes the next chunk of a view's cover, evaluated from the live state between two batches,
// so that it is exact where it stands; or the cover's end.
func (j *Join) advanceCover(ctx context.Context) (bool, error) {
	st, name, ok := j.nextChunk()
	if !ok || j.cfg.HoldCovers() {
		return false, nil
	}
	if name == "" {
		return true, j.end(ctx, st)
	}
	return true, j.chunk(ctx, st, name)
}

func (j *Join) chunk(ctx context.Context, st *wire.CoverState, name string) error {
	gap, _ := firstGap(st.Done[name], st.Cover.Range)
	state, release, err := j.state.Read()
	if err != nil {
		return err
	}
	if j.fixed != nil {
		state = j.fixed
	}
	c, err := j.engine.Scan(state, name, gap, joiner.ScanOptions{Rows: j.cfg.ChunkRows, Limit: j.cfg.Memory, Scratch: j.cfg.Scratch})
	if err != nil {
		return errors.Join(err, release())
	}
	rows, err := j.chunkRows(ctx, st, name, c)
	if err = errors.Join(err, c.Close(), release()); err != nil {
		return err
	}
	ch, err := j.ledger.done(st.Cover.ID, name, c.Range, false)
	if err != nil {
		return err
	}
	seq := j.w.State().Seq() + 1
	part := st.Cover
	part.Back = change.Position{}
	part.Tables, part.Table, part.Range = nil, name, c.Range
	p := wire.Progress{Kind: change.Chunk, SeqFrom: seq, SeqTo: seq, Cover: &part}
	if err := j.commit(ctx, p, ch.meta, j.at, nil, map[TableOp]int{{name, change.Read}: rows}); err != nil {
		return err
	}
	j.ledger = ch.next
	return j.cfg.Fail("join-chunk")
}

// chunkRows appends a chunk's rows to a new batch of the stream and returns how many they are.
func (j *Join) chunkRows(ctx context.Context, st *wire.CoverState, name string, c *joiner.Chunk) (int, error) {
	if err := j.w.Begin(ctx); err != nil {
		return 0, err
	}
	seq := j.w.State().Seq() + 1
	out := j.plan(name).Output
	origin := &change.Origin{Snapshot: "incremental"}
	if st.Cover.Heal {
		origin.Snapshot = "true"
	}
	now := j.clock.Now().UnixMicro()
	n := 0
	for o, err := range c.Rows() {
		if err != nil {
			return n, err
		}
		ev := change.Event{Table: out, Op: change.Read, After: o.After, Seq: seq, Idx: n, Origin: origin}
		if _, err := j.rows.write(ctx, &ev, now); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func (j *Join) end(ctx context.Context, st *wire.CoverState) error {
	if err := j.cfg.Fail("join-before-end"); err != nil {
		return err
	}
	ch := j.ledger.end(st.Cover.ID)
	if err := j.w.Begin(ctx); err != nil {
		return err
	}
	seq := j.w.State().Seq() + 1
	part := st.Cover
	p := wire.Progress{Kind: change.End, SeqFrom: seq, SeqTo: seq, Cover: &part}
	if err := j.commit(ctx, p, ch.meta, j.at, nil, nil); err != nil {
		return err
	}
	j.ledger = ch.next
	return j.cfg.Fail("join-after-end")
}
