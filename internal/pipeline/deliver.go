package pipeline

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
	"github.com/etlsandbox/cdc/sinks"
)

// DeliverConfig sets a deliver stage up: one stream to one destination.
type DeliverConfig struct {
	Stream string
	// Sink is the destination's name, also in covers.
	Sink    string
	Targets []sinks.Target
	// Follow, unless nil, is asked about each table that the stream announces and that is no target yet: it
	// becomes one if ok, and is filled by the cover that it came with.
	Follow func(t *change.Table) (target sinks.Target, ok bool)
	// Batch is asked before each batch, because its limits are live.
	Batch func() BatchLimits
	// IdleEvery is how often the destination's Mark moves when nothing for it happens.
	IdleEvery time.Duration
	// PollEvery is how long a wait for the stream lasts at most; AskEvery is how often an ask is repeated.
	PollEvery, AskEvery time.Duration
	Fail                func(point string) error
	// Started is told that the destination has answered: the stage has the right to write and goes on at at.
	Started func(at change.Mark)
	// Applied is told each batch that the destination has taken.
	Applied func(Applied)
	// Lost, unless nil, is told why the stage cannot go on where the destination stands, before it asks for a cover.
	Lost func(why error)
	// Uncounted, for a test only: a batch is what can be read of it now, however much was announced.
	Uncounted bool
	// Ahead, unless 0, bounds the bytes of rows of a batch that are held, so that the next batch is read and
	// decoded while it is with the destination, and encoded when it is full (sinks.Encoder): twice as much is held at
	// most, and what the sink made of both. A batch takes no further transaction three quarters of it are held; a
	// transaction that is larger is read from the stream while it is applied. The rows of a batch may then be given to
	// the sink several times, unchanged.
	Ahead int
	// Checked, unless nil, gives a batch as the destination may have it: what contracts withhold is refused. It is also
	// asked about a batch while the one before it is applied; what it returns is read when it is applied only.
	Checked func(b *change.Batch) *change.Batch
	// Captured, unless nil, reports whether the source still has a table: one that it has not is neither waited nor
	// asked for.
	Captured func(table string) bool
	// Behind is told, before a Mark or a batch that changed it is, which covers (or tables that wait for one)
	// keep the destination from showing what its Mark says.
	Behind func(names []string)
	// Ready is waited for before a cover is asked for: a destination whose other stream cannot start must not have
	// this one read again at each try.
	Ready func(ctx context.Context) error
	// Aside is told, at the start and when it changes, which targets the destination refuses, and why: the others
	// are delivered without them. The map is the callee's.
	Aside func(refused map[string]error)
}

// BatchLimits choose how many whole units are applied together; none splits one.
type BatchLimits struct {
	MinRows, MaxRows   int
	MinDelay, MaxDelay time.Duration
}

// Applied describes a batch that a destination has taken.
type Applied struct {
	Batch *change.Batch
	Took  time.Duration
	At    time.Time
}

// DeliverDeps are the effects of a deliver stage.
type DeliverDeps struct {
	Sink  sinks.Sink
	Open  func(change.Mark) *stream.Reader
	Meta  func(ctx context.Context) (*wire.Meta, error)
	Asker Asker
	Clock Clock
	Wait  func(ctx context.Context, d time.Duration) error
	// Letters makes dead letters durable; nil writes none.
	Letters func(ctx context.Context, letters []Letter) error
}

// Deliver is the stage that applies a stream to a destination: its own consumer, with its own Mark, which
// the destination keeps. Run may be called again after it returned an error that trying again can mend.
type Deliver struct {
	cfg DeliverConfig
	d   DeliverDeps

	in        *stream.Reader
	shapes    *shapes
	targets   []sinks.Target
	aside     map[string]refused // targets that the destination refuses, by Target.From
	applied   change.Mark        // what the destination holds durably
	lastWrite time.Time
	behind    bool    // some table does not show what the Mark says
	asking    *asking // from the start of the stage until a cover is asked for
	// incarnation of the stream when it was opened last; 0 of an empty one.
	incarnation uint64
	ahead       *prepared     // read while the batch before it was applied
	current     *change.Batch // with the destination now
	quiet       *change.Batch // read, without rows: it moves the Mark when IdleEvery has passed
}

// NewDeliver puts a stage together.
func NewDeliver(cfg DeliverConfig, d DeliverDeps) *Deliver {
	if cfg.Fail == nil {
		cfg.Fail = func(string) error { return nil }
	}
	if cfg.Applied == nil {
		cfg.Applied = func(Applied) {}
	}
	if cfg.Behind == nil {
		cfg.Behind = func([]string) {}
	}
	if cfg.Checked == nil {
		cfg.Checked = func(b *change.Batch) *change.Batch { return b }
	}
	if cfg.Started == nil {
		cfg.Started = func(change.Mark) {}
	}
	if cfg.Ready == nil {
		cfg.Ready = func(context.Context) error { return nil }
	}
	if cfg.Aside == nil {
		cfg.Aside = func(map[string]error) {}
	}
	return &Deliver{cfg: cfg, d: d, targets: slices.Clone(cfg.Targets), aside: map[string]refused{}}
}

// Run takes the right to write, asks the destination where it is, and applies the stream from there until
// the context ends or something fails.
func (d *Deliver) Run(ctx context.Context) error {
	if err := d.start(ctx); err != nil {
		return err
	}
	for {
		if err := d.step(ctx); err != nil {
			return err
		}
	}
}

func (d *Deliver) start(ctx context.Context) error {
	// Asking begins here: a begin that is written while this stage starts answers already.
	since, err := d.d.Open(change.Mark{}).EndOffset(ctx)
	if err != nil {
		return err
	}
	if d.cfg.Follow != nil {
		if err := d.open(ctx, change.Mark{}); err != nil {
			return err
		}
		d.reshape()
	}
	d.tellAside()
	if err := d.prepare(ctx); err != nil {
		return err
	}
	if err := d.cfg.Fail("deliver-prepared"); err != nil {
		return err
	}
	at, err := d.d.Sink.Applied(ctx, d.cfg.Stream)
	if err != nil {
		return err
	}
	d.applied, d.lastWrite = at, d.d.Clock.Now()
	d.asking = &asking{since: since, at: at}
	states, err := d.boundaries(ctx)
	if err != nil {
		return err
	}
	if err := d.open(ctx, at); err != nil {
		return err
	}
	fill := at.IsZero() || d.waits(states)
	if fill || d.incarnation != at.Incarnation {
		d.lacks() // the reader finds out whether its Mark is really gone; until then the destination proves nothing
	}
	d.cfg.Started(at) // after what keeps the destination from showing what its Mark says
	if fill {
		return d.ask(ctx, since)
	}
	return nil
}

func (d *Deliver) open(ctx context.Context, at change.Mark) error {
	d.in, d.quiet, d.ahead = d.d.Open(at), nil, nil
	d.shapes = newShapes(d.cfg.Stream)
	m, err := d.d.Meta(ctx)
	if err != nil {
		return err
	}
	d.shapes.load(m)
	d.incarnation = 0
	if m.Newest != nil {
		d.incarnation = m.Newest.Progress.Incarnation
	}
	return nil
}

// reshape gives the targets the shapes that the stream has now: the source may have moved on.
func (d *Deliver) reshape() {
	for i, t := range d.targets {
		if v := d.shapes.versions[t.From]; v != nil && v.Table != nil {
			d.targets[i].Table = v.Table
		}
	}
}

// left reports whether the source has a table no more.
func (d *Deliver) left(table string) bool { return d.cfg.Captured != nil && !d.cfg.Captured(table) }

// lacks tells that no table shows what the Mark says, until a batch is applied.
func (d *Deliver) lacks() {
	var names []string
	for _, t := range d.targets {
		names = append(names, t.From)
	}
	d.behind = true
	d.cfg.Behind(names)
}

// boundaries asks the destination which tables do not follow the stream, and tells it.
func (d *Deliver) boundaries(ctx context.Context) (map[string]sinks.TableState, error) {
	b, ok := d.d.Sink.(sinks.Boundaries)
	if !ok {
		return nil, nil
	}
	states, err := b.Boundaries(ctx, d.cfg.Stream)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, t := range d.targets {
		switch st := states[t.From]; {
		case st.Phase == sinks.Live, st.Phase == sinks.Noting, st.Phase == sinks.Waiting && d.left(t.From):
		case st.Cover == "":
			names = append(names, t.From)
		case !slices.Contains(names, st.Cover):
			names = append(names, st.Cover)
		}
	}
	d.behind = len(names) > 0
	d.cfg.Behind(names)
	return states, nil
}

// waits reports whether a table of the destination does not follow the stream and needs a cover. One that
// the stream does not carry yet gets one anyway, when it begins.
func (d *Deliver) waits(states map[string]sinks.TableState) bool {
	return slices.ContainsFunc(d.targets, func(t sinks.Target) bool {
		return states[t.From].Phase == sinks.Waiting && d.shapes.versions[t.From] != nil && !d.left(t.From)
	})
}

// ask fills the destination by a cover: what it lacks or cannot be sure of. A normal start of a new one.
func (d *Deliver) ask(ctx context.Context, since int64) error {
	if err := d.cfg.Ready(ctx); err != nil {
		return err
	}
	if err := d.open(ctx, change.Mark{}); err != nil {
		return err
	}
	d.lacks()
	d.asking = nil // a begin that does not hold is not taken twice
	a := Ask{Reader: d.cfg.Sink, Heal: true, Since: since, Floor: d.applied.Seq}
	for _, t := range d.targets {
		if !d.left(t.From) {
			a.Tables = append(a.Tables, t.From)
		}
	}
	slices.Sort(a.Tables)
	b, err := await(ctx, d.in, d.d.Asker, d.d.Wait, a, d.cfg.AskEvery)
	if err != nil {
		return err
	}
	d.in.Adopt(b)
	return d.cfg.Fail("deliver-adopted")
}

// step applies the next batch: one record, or several of whole transactions.
func (d *Deliver) step(ctx context.Context) error {
	advance := d.next
	if d.cfg.Ahead > 0 && !d.cfg.Uncounted {
		advance = d.overlap
	}
	err := advance(ctx)
	if !errors.Is(err, stream.ErrGone) {
		return err
	}
	if d.cfg.Lost != nil {
		d.cfg.Lost(err)
	}
	since, err := d.in.EndOffset(ctx)
	if err != nil {
		return err
	}
	if d.asking != nil && d.asking.at == d.applied {
		since = d.asking.since // nothing was applied since: what began while the Mark was looked for answers
	}
	return d.ask(ctx, since)
}

// asking is what a stage that finds its Mark gone has waited for since its start: the place where the progress
// topic ended then, and the Mark.
type asking struct {
	since int64
	at    change.Mark
}

// next reads a batch and applies it, or moves the Mark when nothing happens.
func (d *Deliver) next(ctx context.Context) error {
	rec, err := d.in.Await(ctx, d.cfg.PollEvery)
	if rec != nil && err == nil {
		rec, err = d.in.TryNext(ctx)
	}
	switch {
	case err != nil:
		return err
	case rec != nil:
		return d.take(ctx, rec)
	case d.quiet != nil && d.idled():
		return d.put(ctx, d.quiet)
	}
	return nil
}

// take applies a record, together with those behind it that fit. A record is accepted before its rows are
// read: that they are gone shows here.
func (d *Deliver) take(ctx context.Context, rec *stream.Record) error {
	if err := d.follow(ctx, rec.Progress); err != nil {
		return err
	}
	recs := []*stream.Record{rec}
	if joins(rec) {
		var err error
		if recs, err = d.more(ctx, recs, d.d.Clock.Now(), nil); err != nil {
			return err
		}
	}
	return d.apply(ctx, recs)
}

// joins reports whether a record may share a batch with others: transactions, and those of which the stream has
// nothing to say. There are as many of the latter, and a batch that ended at each would not grow with the lag.
func joins(r *stream.Record) bool {
	return r.Progress.Kind == change.Changes || r.Progress.Kind == change.Idle
}

// more adds transactions that are there already, or come within the configured delay, to a batch that was begun
// at a time. room, unless nil, is asked with what the batch has by then whether it may grow further.
func (d *Deliver) more(ctx context.Context, recs []*stream.Record, began time.Time, room func([]*stream.Record) (bool, error)) ([]*stream.Record, error) {
	limits := d.cfg.Batch()
	entered := d.d.Clock.Now()
	rows := int64(0)
	for _, r := range recs {
		rows += r.Rows
	}
	for rows < int64(limits.MaxRows) {
		if room != nil {
			if more, err := room(recs); err != nil || !more {
				return recs, err
			}
		}
		wait := time.Duration(0)
		now := d.d.Clock.Now()
		age := now.Sub(began)
		if rows < int64(limits.MinRows) {
			wait = limits.MaxDelay - age
		}
		wait = max(0, wait, limits.MinDelay-age)
		next, err := d.in.Await(ctx, wait)
		if err != nil || next == nil || !joins(next) {
			return recs, ctx.Err() // an error of the stream comes again at the next call
		}
		if next, err = d.in.TryNext(ctx); err != nil {
			return nil, err
		}
		recs, rows = append(recs, next), rows+next.Rows
		if now.Sub(entered) > limits.MaxDelay {
			break // there is always more
		}
	}
	return recs, nil
}

func (d *Deliver) apply(ctx context.Context, recs []*stream.Record) error {
	b := d.batch(recs)
	if d.cfg.Uncounted {
		if err := announceWhatIsThere(ctx, b); err != nil {
			return err
		}
	}
	if b.Rows == 0 && d.moves(b) && !d.idled() {
		d.quiet = b
		return nil
	}
	return d.put(ctx, b)
}

// moves reports whether a batch without rows does nothing but move the Mark. Covers for others are such:
// the destination executes no statement of its own for them.
func (d *Deliver) moves(b *change.Batch) bool {
	return b.Kind == change.Changes || b.Kind == change.Idle || b.Cover != nil && !b.Cover.IsFor(d.cfg.Sink)
}

// idled reports whether the Mark may move though nothing happened.
func (d *Deliver) idled() bool { return d.d.Clock.Now().Sub(d.lastWrite) >= d.cfg.IdleEvery }

// put has the destination take a batch.
func (d *Deliver) put(ctx context.Context, b *change.Batch) error {
	d.quiet = nil
	if err := d.failBefore(b.Kind); err != nil {
		return err
	}
	started := d.d.Clock.Now()
	d.current = b
	err := d.give(ctx, b)
	d.current = nil
	if err != nil {
		return err
	}
	now := d.d.Clock.Now()
	if d.behind || b.Cover != nil || b.Kind == change.Schema {
		if _, err := d.boundaries(ctx); err != nil {
			return err
		}
	}
	d.applied, d.lastWrite = b.Mark, now
	d.cfg.Applied(Applied{Batch: b, Took: now.Sub(started), At: now})
	return d.failAfter(b.Kind)
}

// failBefore and failAfter are the named places around a batch; a cover's parts have their own.
func (d *Deliver) failBefore(kind change.UnitKind) error {
	if kind == change.End {
		return d.cfg.Fail("deliver-before-end")
	}
	return d.cfg.Fail("deliver-before-apply")
}

func (d *Deliver) failAfter(kind change.UnitKind) error {
	switch kind {
	case change.Begin:
		return d.cfg.Fail("deliver-begin")
	case change.Chunk:
		return d.cfg.Fail("deliver-chunk")
	case change.End:
		return d.cfg.Fail("deliver-after-end")
	}
	return d.cfg.Fail("deliver-applied")
}
