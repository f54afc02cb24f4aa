package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/joiner"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/view"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// JoinReader is the joiner's name in covers.
const JoinReader = "joiner"

// JoinMeta is what the joiner's state says about itself; it changes only together with the state.
type JoinMeta struct {
	// In and Out stand where the state stands in the raw stream and in the view stream.
	In, Out change.Mark
	// Covering are the tables between a raw begin and its end.
	Covering map[string]Covering
	// Layout identifies the tables, columns and indexes that the state holds.
	Layout string
}

// Covering is a cover that a table is under.
type Covering struct {
	Cover string
	// Heal withholds the views that read the table; Whole notes the keys seen.
	Heal, Whole bool
}

// JoinState is the joiner's stored state: a cache of the stream, never the truth.
type JoinState interface {
	// Read gives what is stored now, unchanged by later Writes until release is called.
	Read() (state joiner.State, release func() error, err error)
	// Meta returns what the last Write stored; the zero JoinMeta of an empty state.
	Meta() JoinMeta
	// Write stores the changes that flush writes and the meta, all or nothing. It need not be durable at
	// once: after a crash any earlier Write may be the last one that is found.
	Write(m JoinMeta, flush func(joiner.Writer) error) error
	// Reset empties the state, and makes it ready for an engine that wants these tables.
	Reset(tables []joiner.Table) error
}

// keepingState is a state that can take another layout without losing what stays the same.
type keepingState interface {
	// Relayout makes the state ready for an engine that wants these tables. Of the renewed ones nothing is
	// kept: a cover brings them anew. It returns false if something else is missing as well, so that the
	// state must be reset.
	Relayout(tables []joiner.Table, renewed []change.TableID) (kept bool, err error)
}

// JoinConfig sets a join stage up.
type JoinConfig struct {
	// Raw and Views name the two streams.
	Raw, Views string
	Plans      []*view.Plan
	// Aside are views that the stream has and that do not fit the tables of now: they are held at their boundary.
	// Only name, hash, output and the tables read are used, nil Inputs saying that these are not known.
	Aside []*view.Plan
	// Compile compiles the views anew, against tables of another shape; views that do not fit any more are
	// refused by name. Without it such a table stops the stage.
	Compile func(tables []*change.Table) (plans []*view.Plan, refused map[string]error)
	// BatchRows bounds how many input rows are folded into one batch (whole units, unless one is larger).
	BatchRows int
	// ChunkRows is the size of a chunk of a view's cover.
	ChunkRows int
	// Memory bounds a batch in bytes; Scratch opens a store for what does not fit.
	Memory  int
	Scratch func() (joiner.Scratch, error)
	// PollEvery is how long a wait for the stream lasts at most; AskEvery is how often an ask is repeated.
	PollEvery, AskEvery time.Duration
	// HoldCovers reports that covers have to wait for a reader.
	HoldCovers func() bool
	// Idle is called when no input waits.
	Idle    func() error
	Fail    func(point string) error
	Observe func(Committed)
	// Consumed is told the rows of each input batch by table.
	Consumed func(byTable map[string]int)
	// Joined is told where in the raw stream a batch has brought the state, and how long that took; Resumed where
	// state and view stream stand at the start.
	Joined  func(in change.Mark, took time.Duration)
	Resumed func(in, out change.Mark)
	// Lost, unless nil, is told why the state cannot go on where it stands, before the stage asks for a cover; not
	// when the view stream begins anew.
	Lost func(why string)
	// Paused reports whether a table of the raw stream is paused (nil: not known), so that its heal may never end.
	Paused func(table string) bool
	// Defined is told, whenever all views have their definitions of now, where the view stream stands.
	Defined func(at change.Seq)
	// NewID makes the ids of covers. Default: stream.RandomID.
	NewID func() string
	// Rules is zero outside of simulations.
	Rules Rules
}

// Join is the stage that keeps views: it reads the raw stream, writes the view stream.
// Run may be called again after it returned an error that trying again can mend.
type Join struct {
	cfg    JoinConfig
	engine *joiner.Engine
	layout string
	state  JoinState
	newIn  func(change.Mark) *stream.Reader
	newOut func(change.Mark) *stream.Reader
	meta   func(ctx context.Context) (*wire.Meta, error) // of the raw stream
	asker  Asker
	asks   Asks
	clock  Clock
	wake   func(ctx context.Context, wait time.Duration) error
	w      *stream.Writer
	rows   *rowWriter

	in      *stream.Reader
	shapes  *shapes
	ledger  *ledger
	waiting []Ask
	begins  []begun
	at      JoinMeta
	// aside are the last plans of views that do not fit their tables any more. Destinations hold them at
	// their last true boundary, until a table's shape changes again.
	aside []*view.Plan
	fixed joiner.State // only without the rule that chunks come from the live state
}

// JoinDeps are the effects of a join stage.
type JoinDeps struct {
	State JoinState
	// In and Out open readers of the raw and of the view stream at a Mark.
	In, Out func(change.Mark) *stream.Reader
	// RawMeta reads the raw stream's meta topic.
	RawMeta func(ctx context.Context) (*wire.Meta, error)
	// Asker reaches the capture stage; Asks are the sinks' asks to this one.
	Asker Asker
	Asks  Asks
	Clock Clock
	// Wait waits for the given time, or until something may have changed.
	Wait    func(ctx context.Context, d time.Duration) error
	Writer  *stream.Writer
	Encoder *wire.Encoder
}

// NewJoin puts a stage together.
func NewJoin(cfg JoinConfig, d JoinDeps) (*Join, error) {
	engine, err := joiner.New(cfg.Plans)
	if err != nil {
		return nil, err
	}
	if cfg.Idle == nil {
		cfg.Idle = func() error { return nil }
	}
	if cfg.HoldCovers == nil {
		cfg.HoldCovers = func() bool { return false }
	}
	if cfg.Fail == nil {
		cfg.Fail = func(string) error { return nil }
	}
	if cfg.Observe == nil {
		cfg.Observe = func(Committed) {}
	}
	if cfg.Consumed == nil {
		cfg.Consumed = func(map[string]int) {}
	}
	if cfg.Joined == nil {
		cfg.Joined = func(change.Mark, time.Duration) {}
	}
	if cfg.Resumed == nil {
		cfg.Resumed = func(in, out change.Mark) {}
	}
	if cfg.Paused == nil {
		cfg.Paused = func(string) bool { return false }
	}
	if cfg.Defined == nil {
		cfg.Defined = func(change.Seq) {}
	}
	if cfg.NewID == nil {
		cfg.NewID = stream.RandomID
	}
	return &Join{cfg: cfg, aside: cfg.Aside, engine: engine, layout: layoutOf(engine), state: d.State, newIn: d.In, newOut: d.Out, meta: d.RawMeta,
		asker: d.Asker, asks: d.Asks, clock: d.Clock, wake: d.Wait, w: d.Writer, rows: newRowWriter(d.Writer, d.Encoder, cfg.Views)}, nil
}

// layoutOf identifies what the state must hold: another layout, another state.
func layoutOf(e *joiner.Engine) string {
	var s string
	for _, t := range e.Tables() {
		s += t.Shape.ID.String() + "("
		for _, c := range t.Columns {
			col := t.Shape.Columns[c]
			s += fmt.Sprintf("%s:%s,", col.Name, col.Type.Kind)
		}
		s += ")key("
		for _, c := range t.Shape.Key { // by name: columns that are not kept move the others
			s += t.Shape.Columns[c].Name + ","
		}
		s += fmt.Sprintf(")%q;", t.Indexes)
	}
	return s
}

// Engine is the stage's engine, for explanations.
func (j *Join) Engine() *joiner.Engine { return j.engine }

// Run starts the writer, brings the state to where the view stream stands (by replay, or by a cover), and
// then keeps the views until the context ends or something fails.
func (j *Join) Run(ctx context.Context) error {
	if err := j.start(ctx); err != nil {
		return err
	}
	for {
		if err := j.step(ctx); err != nil {
			return err
		}
	}
}

func (j *Join) tableNames() []string {
	var ns []string
	for _, t := range j.engine.Tables() {
		ns = append(ns, t.Shape.ID.String())
	}
	slices.Sort(ns)
	return ns
}

// withheld reports whether a view's output is held back: a table of it is under a heal, or it is put aside.
func (j *Join) withheld(covering map[string]Covering, name string) bool {
	if j.isAside(name) {
		return true
	}
	for _, id := range j.engine.TablesOf(name) {
		if covering[id.String()].Heal {
			return true
		}
	}
	return false
}

// step does one thing: a new view's begin, an ask, a chunk of a view, or the next input.
func (j *Join) step(ctx context.Context) error {
	j.waiting = mergeAsks(j.waiting, j.asks.Take())
	if j.at.In.Seq > 0 {
		for _, serve := range []func(context.Context) (bool, error){j.hold, j.newViews, j.fill, j.advanceCover} {
			if done, err := serve(ctx); done || err != nil {
				if err != nil {
					return err
				}
				break
			}
		}
	}
	return j.input(ctx)
}

// input folds what the raw stream holds now, in whole records, and puts out what changes.
func (j *Join) input(ctx context.Context) error {
	wait := j.cfg.PollEvery
	if len(j.ledger.covers) > 0 && j.coverable() {
		wait = 0 // chunks go on without waiting for input
	}
	rec, err := j.in.Await(ctx, wait)
	if rec != nil && err == nil {
		rec, err = j.in.TryNext(ctx)
	}
	switch {
	case err == nil && rec != nil:
		err = j.take(ctx, rec)
	case err == nil:
		return j.cfg.Idle()
	}
	if !errors.Is(err, stream.ErrGone) && !j.misfit(err) {
		return err
	}
	why := err.Error()
	since, err := j.in.EndOffset(ctx)
	if err != nil {
		return err
	}
	return j.rebuild(ctx, why, Ask{Since: since})
}

// take processes a record, together with those behind it that fit. A record is accepted before its rows
// are read: that they are gone shows here.
func (j *Join) take(ctx context.Context, rec *stream.Record) error {
	recs := []*stream.Record{rec}
	rows := rec.Rows
	for rec.Progress.Kind == change.Changes && rows < int64(j.cfg.BatchRows) {
		next, err := j.in.Peek(ctx)
		if err != nil || next == nil || next.Progress.Kind != change.Changes {
			break // an error comes again at the next call
		}
		if rec, err = j.in.TryNext(ctx); err != nil {
			return err
		}
		recs, rows = append(recs, rec), rows+rec.Rows
	}
	return j.process(ctx, recs)
}

// emitting names the views whose changes go out: begun under their definition of now, and not withheld.
func (j *Join) emitting(next map[string]Covering) []string {
	names := []string{}
	for _, p := range j.cfg.Plans {
		if v := j.w.State().Meta.Views[p.Name]; v == nil || v.Hash != p.Hash {
			continue
		}
		if !j.withheld(j.at.Covering, p.Name) && !j.withheld(next, p.Name) {
			names = append(names, p.Name)
		}
	}
	return names
}

// process is the commit order: outputs and progress, the Kafka transaction, then the state.
func (j *Join) process(ctx context.Context, recs []*stream.Record) error {
	started := j.clock.Now()
	last := recs[len(recs)-1].Progress
	switch kept, err := j.reshape(recs[0].Progress); {
	case err != nil:
		return err
	case !kept:
		since, err := j.in.EndOffset(ctx)
		if err != nil {
			return err
		}
		return j.rebuild(ctx, errReshaped.Error(), Ask{Since: since})
	}
	next := j.coveringAfter(recs[0].Progress)
	b, m, err := j.fold(ctx, recs, j.emitting(next))
	if err != nil {
		return err
	}
	if err := errors.Join(j.put(ctx, last, next, b, m), b.close()); err != nil {
		return err
	}
	j.cfg.Joined(j.at.In, j.clock.Now().Sub(started))
	return nil
}

// put writes what a folded batch gives: the begin of the views that a raw begin withholds, or their changes.
func (j *Join) put(ctx context.Context, last *wire.Progress, next map[string]Covering, b *folded, m JoinMeta) error {
	if err := j.cfg.Fail("join-folded"); err != nil {
		return err
	}
	var vs []string
	switch late := j.cfg.Rules.off(viewBeginAtRawBegin) && !j.w.State().Fresh; {
	case last.Kind == change.Begin && !late:
		vs = j.withheldBy(last, next)
	case last.Kind == change.End && late:
		vs = j.releasedBy(next)
	}
	if len(vs) > 0 {
		return j.begin(ctx, change.Cover{Heal: true, Tables: vs, Back: last.Cover.Back}, 0, m, b)
	}
	if err := j.w.Begin(ctx); err != nil {
		return err
	}
	seq := j.w.State().Seq() + 1
	rows, err := j.outputs(ctx, b, seq, j.emitting(next))
	if err != nil {
		return err
	}
	p := wire.Progress{Kind: change.Changes, SeqFrom: seq, SeqTo: seq, CommitMicros: last.CommitMicros}
	if len(rows) == 0 {
		p.Kind, p.SeqTo = change.Idle, seq-1
	}
	return j.commit(ctx, p, nil, m, b, rows)
}

// outputs appends the net changes of the views and counts them.
func (j *Join) outputs(ctx context.Context, b *folded, seq change.Seq, views []string) (map[TableOp]int, error) {
	now := j.clock.Now().UnixMicro()
	idx := 0
	rows := map[TableOp]int{}
	for _, name := range views {
		for o, err := range b.batch.Outputs(name) {
			if err != nil {
				return nil, err
			}
			ev := change.Event{Table: j.plan(name).Output, Op: o.Op, Before: o.Before, After: o.After, Seq: seq, Idx: idx}
			if idx, err = j.rows.write(ctx, &ev, now); err != nil {
				return nil, err
			}
			rows[TableOp{name, o.Op}]++
		}
	}
	return rows, j.cfg.Fail("join-outputs")
}

func (j *Join) plan(name string) *view.Plan {
	for _, p := range slices.Concat(j.cfg.Plans, j.aside) {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// withheldBy names the views that a raw begin withholds: destinations hold their boundary from there.
func (j *Join) withheldBy(p *wire.Progress, next map[string]Covering) []string {
	var vs []string
	for _, pl := range slices.Concat(j.cfg.Plans, j.aside) {
		if slices.ContainsFunc(pl.Inputs, func(in view.Input) bool {
			c := next[in.Table.ID.String()]
			if j.isAside(pl.Name) {
				return p.Cover.Heal && p.Cover.IsFor(JoinReader) && p.Cover.Names(in.Table.ID.String())
			}
			return c.Heal && c.Cover == p.Cover.ID
		}) {
			vs = append(vs, pl.Name)
		}
	}
	return vs
}

// releasedBy names the views that are withheld before a raw end and not behind it.
func (j *Join) releasedBy(next map[string]Covering) []string {
	var vs []string
	for _, pl := range j.cfg.Plans {
		if j.withheld(j.at.Covering, pl.Name) && !j.withheld(next, pl.Name) {
			vs = append(vs, pl.Name)
		}
	}
	return vs
}

// commit ends a batch of the view stream and then stores the state that belongs to it.
func (j *Join) commit(ctx context.Context, p wire.Progress, meta []wire.MetaRecord, m JoinMeta, b *folded, rows map[TableOp]int) error {
	started := j.clock.Now()
	p.Position, p.Views = m.In.Position, j.hashes(p.Cover)
	in := m.In
	p.Input = &in
	if err := j.cfg.Fail("join-before-commit"); err != nil {
		return err
	}
	mark, err := j.w.Commit(ctx, p, meta)
	if err != nil {
		return err
	}
	if err := j.cfg.Fail("join-after-commit"); err != nil {
		return err
	}
	m.Out = mark
	if err := j.write(m, b); err != nil {
		return err
	}
	now := j.clock.Now()
	n := 0
	for _, k := range rows {
		n += k
	}
	j.cfg.Observe(Committed{Stream: j.cfg.Views, Kind: p.Kind, Units: int(p.SeqTo + 1 - p.SeqFrom), Rows: n, ByTable: rows, Mark: mark,
		Took: now.Sub(started), CommitMicros: p.CommitMicros, Cover: p.Cover})
	return j.cfg.Fail("join-state-written")
}

// hashes lists the views that the stream carries.
func (j *Join) hashes(begun *change.Cover) map[string]string {
	hs := map[string]string{}
	for _, p := range slices.Concat(j.cfg.Plans, j.aside) {
		v := j.w.State().Meta.Views[p.Name]
		if v != nil && v.Hash == p.Hash || begun != nil && begun.Names(p.Name) {
			hs[p.Name] = p.Hash
		}
	}
	return hs
}

// write stores a batch's state; b may be nil when only the meta changes.
func (j *Join) write(m JoinMeta, b *folded) error {
	m.Layout = j.layout
	flush := func(joiner.Writer) error { return nil }
	if b != nil {
		flush = b.batch.Flush
	}
	if err := j.state.Write(m, flush); err != nil {
		return fmt.Errorf("write the join state: %w", err)
	}
	j.at = m
	return nil
}
