package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// ReaderConfig says which stream a Reader reads, and as whom. Stream and Name are required.
type ReaderConfig struct {
	Stream string
	// Name is the reader's name in covers: "joiner", or a sink's.
	Name string
	// Topics restricts what is fetched to the topics for which it holds; nil means all. Published copies have
	// to be left out by it.
	Topics func(topic string) bool
	// Memory bounds the bytes read ahead, as stored. Default 16 MiB.
	Memory int
	// ReadAhead bounds the progress records held. Default 1024.
	ReadAhead int
	// Alarm is how long a range may be unreadable before OnStalled is called, and how long until it is called
	// again. Default 30 s.
	Alarm     time.Duration
	OnStalled func(Stalled)
	// Grace is how long a log may end before a place that it must reach until it counts as cut: after an
	// election a Kafka broker may show an older end for a moment. Default 0: at once.
	Grace time.Duration
	// Now tells the time for Alarm and Grace. Default: time.Now.
	Now func() time.Time
	// Rules is zero outside of tests.
	Rules Rules
}

// Reader reads a stream record by record, driven by its progress topic. It is used by one goroutine at a
// time, iterations of its Records included.
//
// What it has fetched already is served even if the log is cut meanwhile; the next record that it fetches
// then does not fit, and it reports the cut.
type Reader struct {
	cfg ReaderConfig
	log Log

	mark    change.Mark
	first   string // id of an adopted begin that was not accepted yet
	located bool   // the mark was found in the log

	next    int64 // offset of the progress topic to fetch from
	pending []pending
	peeked  *Record
	ahead   *ahead
	late    patience
}

// pending is a progress record that was fetched but not judged.
type pending struct {
	p      *wire.Progress
	offset int64
}

// Record is one accepted progress record: whole units, complete and readable.
type Record struct {
	Progress *wire.Progress
	// Mark is the reader's Mark once the record is applied.
	Mark change.Mark
	// Skipped says that it is part of a cover for another reader: it moves the Mark and has no rows.
	Skipped bool
	// Records is the exact number of data records that Open yields, Rows that without tombstones.
	Records, Rows int64

	r     *Reader
	parts []wire.Part
}

// NewReader returns a Reader that stands at the mark. Nothing is read before the first call.
func NewReader(cfg ReaderConfig, log Log, mark change.Mark) *Reader {
	if cfg.Memory == 0 {
		cfg.Memory = 16 << 20
	}
	if cfg.ReadAhead == 0 {
		cfg.ReadAhead = 1024
	}
	if cfg.Alarm == 0 {
		cfg.Alarm = 30 * time.Second
	}
	if cfg.OnStalled == nil {
		cfg.OnStalled = func(Stalled) {}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	r := &Reader{cfg: cfg, log: log, mark: mark, ahead: newAhead(cfg.Memory / 2)}
	r.late = patience{r: r}
	return r
}

// Mark is the Mark behind the last record that Next or TryNext returned.
func (r *Reader) Mark() change.Mark { return r.mark }

// Next returns the next record and moves behind it; it waits for one. A *GoneError says that the log was
// cut, trimmed or replaced where the reader stands (at the first call: that its Mark is not there). The
// reader then asks for a cover, looks for it with FindBegin, and goes on with Adopt.
func (r *Reader) Next(ctx context.Context) (*Record, error) {
	for {
		rec, err := r.advance(ctx, pollWait)
		if rec != nil || err != nil {
			return r.take(rec), err
		}
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("read %s: %w", ProgressTopic(r.cfg.Stream), err)
		}
	}
}

// TryNext is Next without waiting: nil if there is no further record now.
func (r *Reader) TryNext(ctx context.Context) (*Record, error) {
	rec, err := r.advance(ctx, 0)
	return r.take(rec), err
}

// Peek returns what Next would return, without moving and without waiting: nil if there is none now.
func (r *Reader) Peek(ctx context.Context) (*Record, error) { return r.advance(ctx, 0) }

func (r *Reader) take(rec *Record) *Record {
	if rec != nil {
		r.peeked, r.first, r.mark = nil, "", rec.Mark
	}
	return rec
}

// advance returns the record after the mark once it is there and accepted.
func (r *Reader) advance(ctx context.Context, wait time.Duration) (*Record, error) {
	if r.peeked != nil {
		return r.peeked, nil
	}
	if !r.located {
		if err := r.locate(ctx); err != nil {
			return nil, err
		}
	}
	if len(r.pending) == 0 {
		if err := r.fetch(ctx, wait); err != nil || len(r.pending) == 0 {
			return nil, err
		}
	}
	n := r.pending[0]
	if why := acceptProgress(r.mark, r.first, n.p, r.cfg.Rules); why != "" {
		return nil, r.gone(n.offset, why)
	}
	r.pending = r.pending[1:]
	r.peeked = r.record(n)
	return r.peeked, nil
}

func (r *Reader) record(n pending) *Record {
	rec := &Record{Progress: n.p, Mark: n.p.Mark(n.offset), Skipped: skipped(n.p, r.cfg.Name), r: r}
	if rec.Skipped {
		return rec
	}
	for _, p := range n.p.Parts {
		if r.cfg.Topics == nil || r.cfg.Topics(p.Topic) {
			rec.parts = append(rec.parts, p)
			rec.Records += p.Count
			rec.Rows += p.Count - p.Tombstones
		}
	}
	return rec
}

// locate checks the mark: the record at its offset carries its id, or it is meta's newest.
func (r *Reader) locate(ctx context.Context) error {
	topic := ProgressTopic(r.cfg.Stream)
	if r.mark.IsZero() {
		return r.gone(0, "the reader stands nowhere yet")
	}
	for {
		got, err := r.log.Read(ctx, []Want{{Topic: topic, From: r.mark.Offset, MaxBytes: 1}}, 0)
		if err != nil {
			return fmt.Errorf("look for the mark %s in %s: %w", r.mark, topic, err)
		}
		f := got[0]
		if f.Bounds.Stable <= r.mark.Offset && r.mark.Offset < f.Bounds.End {
			if err := r.stall(ctx, topic, 0, r.mark.Offset+1, f.Bounds); err != nil {
				return err
			}
			continue
		}
		var at *wire.Progress
		if len(f.Records) > 0 && f.Records[0].Offset == r.mark.Offset {
			if at, err = decodeProgress(topic, &f.Records[0]); err != nil {
				return err
			}
		}
		var newest *wire.MetaProgress
		if at == nil && r.mark.Offset < f.Bounds.End {
			if newest, err = r.newestInMeta(ctx); err != nil {
				return err
			}
		}
		ok, why := markFound(r.mark, at, newest, f.Bounds, r.cfg.Rules)
		if !ok && r.mark.Offset >= f.Bounds.End && r.late.wait(topic, 0, r.mark.Offset) {
			if err := r.pause(ctx, topic, f.Bounds.End); err != nil {
				return err
			}
			continue
		}
		if !ok {
			return r.gone(r.mark.Offset, why)
		}
		r.located, r.next = true, r.mark.Offset+1
		r.late.clear()
		return nil
	}
}

// newestInMeta reads the last record of the meta topic, which every commit ends with.
func (r *Reader) newestInMeta(ctx context.Context) (*wire.MetaProgress, error) {
	topic := MetaTopic(r.cfg.Stream)
	b, err := r.log.Bounds(ctx, []wire.Part{{Topic: topic}})
	if err != nil {
		return nil, fmt.Errorf("find the end of %s: %w", topic, err)
	}
	last, err := lastEntry(ctx, r.log, topic, b[0], func(e *Entry) bool { return string(e.Key) == wire.MetaNewest })
	if err != nil || last == nil {
		return nil, err
	}
	m := wire.NewMeta()
	if err := m.Apply(wire.MetaRecord{Key: wire.MetaNewest, Value: last.Value}); err != nil {
		return nil, fmt.Errorf("read %s at offset %d: %w", topic, last.Offset, err)
	}
	return m.Newest, nil
}

// fetch gets progress records from r.next on; none is not an error.
func (r *Reader) fetch(ctx context.Context, wait time.Duration) error {
	topic := ProgressTopic(r.cfg.Stream)
	got, err := r.log.Read(ctx, []Want{{Topic: topic, From: r.next, MaxBytes: 1 << 20}}, wait)
	if err != nil {
		return fmt.Errorf("read %s at offset %d: %w", topic, r.next, err)
	}
	f := got[0]
	if f.Bounds.End < r.next {
		if r.late.wait(topic, 0, r.next) {
			return r.pause(ctx, topic, f.Bounds.End)
		}
		return r.gone(r.next, fmt.Sprintf("the log ends at offset %d: it was cut or replaced", f.Bounds.End))
	}
	r.late.clear()
	if r.next < f.Bounds.Start {
		return r.trimmed(ctx, f.Bounds)
	}
	return r.push(topic, f)
}

func (r *Reader) push(topic string, f Fetched) error {
	for i := range f.Records {
		if len(r.pending) == r.cfg.ReadAhead {
			r.next = f.Records[i].Offset
			return nil
		}
		p, err := decodeProgress(topic, &f.Records[i])
		if err != nil {
			return err
		}
		r.pending = append(r.pending, pending{p: p, offset: f.Records[i].Offset})
	}
	r.next = max(r.next, f.Next)
	return nil
}

// trimmed goes on behind a trimming that took nothing the reader needs: the chain of ids shows it, or,
// where no record is left, meta.
func (r *Reader) trimmed(ctx context.Context, b Bounds) error {
	lost := r.gone(r.next, fmt.Sprintf("the log begins at offset %d: what the reader needs is trimmed", b.Start))
	if r.cfg.Rules.off(prevChain | offsetOnlyMark) {
		return lost
	}
	topic := ProgressTopic(r.cfg.Stream)
	got, err := r.log.Read(ctx, []Want{{Topic: topic, From: b.Start, MaxBytes: 1 << 20}}, 0)
	if err != nil {
		return fmt.Errorf("read %s at offset %d: %w", topic, b.Start, err)
	}
	if len(got[0].Records) == 0 {
		newest, err := r.newestInMeta(ctx)
		if err != nil {
			return err
		}
		if newest == nil || newest.Progress.ID != r.mark.ID {
			return lost
		}
	}
	r.next = b.Start
	return r.push(topic, got[0])
}

func (r *Reader) gone(offset int64, why string) error {
	return &GoneError{Topic: ProgressTopic(r.cfg.Stream), Offset: offset, Reason: why}
}

// EndOffset is the end of the progress topic now: a begin written from here on has an offset not below it.
func (r *Reader) EndOffset(ctx context.Context) (int64, error) {
	topic := ProgressTopic(r.cfg.Stream)
	b, err := r.log.Bounds(ctx, []wire.Part{{Topic: topic}})
	if err != nil {
		return 0, fmt.Errorf("find the end of %s: %w", topic, err)
	}
	return b[0].End, nil
}

// Begin is a cover's begin that a reader without a Mark can start from.
type Begin struct {
	Progress *wire.Progress
	// Offset is its place in the progress topic.
	Offset int64
}

// FindBegin looks for a heal's begin that serves this reader: written at or after offset since (EndOffset,
// taken when it began to ask), naming all the tables (TableID.String), numbered above floor, the highest
// Seq that the reader holds or has announced. It looks at what is readable now and returns nil if there is
// none; from is where the next call goes on.
func (r *Reader) FindBegin(ctx context.Context, since int64, tables []string, floor change.Seq) (b *Begin, from int64, err error) {
	topic := ProgressTopic(r.cfg.Stream)
	bounds, err := r.log.Bounds(ctx, []wire.Part{{Topic: topic}})
	if err != nil {
		return nil, since, fmt.Errorf("find the end of %s: %w", topic, err)
	}
	if r.cfg.Rules.off(adoptOldBegin) {
		since = 0
	}
	// If the log was cut meanwhile, what comes now gets lower offsets.
	from = max(min(since, bounds[0].End), bounds[0].Start)
	err = scan(ctx, r.log, topic, from, bounds[0].Stable, func(e *Entry) error {
		p, err := decodeProgress(topic, e)
		if err != nil {
			return err
		}
		if b == nil && adoptable(p, r.cfg.Name, tables, floor, r.cfg.Rules) {
			b = &Begin{Progress: p, Offset: e.Offset}
		}
		return nil
	})
	if errors.Is(err, ErrGone) { // cut while it was read
		return nil, from, nil
	}
	if err != nil {
		return nil, from, err
	}
	return b, max(from, bounds[0].Stable), nil
}

// Adopt makes the reader stand right before the begin, which has to be the next record: it must be applied
// in the transaction that makes its Mark durable.
func (r *Reader) Adopt(b *Begin) {
	r.mark, r.first, r.located = markBefore(b.Progress, b.Offset), b.Progress.ID, true
	r.next, r.pending, r.peeked = b.Offset, nil, nil
	r.ahead.reset()
	r.late.clear()
}

// horizon is the offset of the partition before which known progress records name data: what lies beyond
// is not kept, because nothing vouches for it yet.
func (r *Reader) horizon(topic string, partition int32) int64 {
	var h int64
	for i := len(r.pending) - 1; i >= 0 && h == 0; i-- {
		j := slices.IndexFunc(r.pending[i].p.Parts, func(p wire.Part) bool { return p.Topic == topic && p.Partition == partition })
		if j >= 0 && !skipped(r.pending[i].p, r.cfg.Name) {
			h = r.pending[i].p.Parts[j].Next
		}
	}
	return h
}
