package stream

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// WriterConfig says which stream a Writer writes, and as whom. Only Stream is required.
type WriterConfig struct {
	// Stream is the stream's name, which its topics begin with.
	Stream string
	// Process is the random id of this process, written into every progress record. Default: RandomID.
	Process string
	// Now tells the time for the number of a new incarnation. Default: time.Now.
	Now func() time.Time
	// NewID makes the ids of progress records. Default: RandomID.
	NewID func() string
	// MaxRecordBytes refuses larger records with a TooLargeError; key, value and headers together.
	// Default: 64 MiB less 1 KiB.
	MaxRecordBytes int
	// RewriteEvery: after so many meta records all live ones are written once more, so that what lies before
	// them can be trimmed where the broker does not compact. Default 5000; below 0 never.
	RewriteEvery int
	// Rules is zero outside of tests.
	Rules Rules
}

// RandomID returns 128 random bits in hexadecimal.
func RandomID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails: crypto/rand ends the program instead
	return hex.EncodeToString(b[:])
}

// Writer is the writer of a stream: one Batch is one Kafka transaction, whatever its size. A Writer is
// used by one goroutine at a time; after an error of any method but a *TooLargeError or a refused
// argument, only Start is allowed.
type Writer struct {
	cfg WriterConfig
	p   Producer
	log Log

	state     *State
	started   bool // Start succeeded before: from then on a foreign record means that we are fenced
	epochLost bool // the last error was about the epoch
	usable    bool

	open bool
	tx   tally

	live      map[string][]byte // meta: key -> value, without newest
	drop      []string          // meta keys of an abandoned incarnation, removed by the next commit
	sinceFull int               // meta records since all live ones were written
	metaFloor atomic.Int64      // meta records before it are superseded
}

// tally is what the open transaction holds according to the Writer.
type tally struct {
	id        string // of the progress record that ends it
	batch     uint32 // what its rows say of it
	records   int64
	low, high change.Seq
}

// State is where a stream stands, as its Writer found it.
type State struct {
	// Incarnation numbers this life of the stream; Fresh says that it begins now, Why the reason. The first
	// unit of a fresh stream has to be a Begin: nobody knows what lies before it.
	Incarnation uint64
	Fresh       bool
	Why         string
	// Newest is the newest progress record and Mark stands behind it; Newest is nil of a fresh stream.
	Newest *wire.Progress
	Mark   change.Mark
	// Meta is the content of the meta topic. It belongs to the Writer, which keeps it current: read it from
	// the Writer's goroutine and do not keep parts of it across a Commit.
	Meta *wire.Meta
}

// whyEmpty is Why of a stream whose topics hold nothing.
const whyEmpty = "the stream is empty"

// Empty says that the stream is fresh because nothing was ever written to it, as far as its broker knows.
func (s *State) Empty() bool { return s.Fresh && s.Why == whyEmpty }

// Seq is the number of the newest unit; the next one is Seq()+1.
func (s *State) Seq() change.Seq { return s.Mark.Seq }

// Position is where the source's log goes on; the zero Position of a fresh stream.
func (s *State) Position() change.Position { return s.Mark.Position }

// NewWriter returns a Writer; Start comes first. log is read by Start only.
func NewWriter(cfg WriterConfig, p Producer, log Log) *Writer {
	if cfg.Process == "" {
		cfg.Process = RandomID()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.NewID == nil {
		cfg.NewID = RandomID
	}
	if cfg.MaxRecordBytes == 0 {
		cfg.MaxRecordBytes = 64<<20 - 1<<10
	}
	if cfg.RewriteEvery == 0 {
		cfg.RewriteEvery = 5000
	}
	return &Writer{cfg: cfg, p: p, log: log}
}

// Process is the random id of this process in the stream's records.
func (w *Writer) Process() string { return w.cfg.Process }

// State is where the stream stands now: Start's, moved on by each Commit.
func (w *Writer) State() *State { return w.state }

// MetaFloor is the offset of the meta topic before which every record is superseded; it only grows. Safe
// for use by any goroutine.
func (w *Writer) MetaFloor() int64 { return w.metaFloor.Load() }

// Begin opens a transaction. Nothing is sent yet.
func (w *Writer) Begin(context.Context) error {
	if !w.usable {
		return fmt.Errorf("begin a batch of stream %s: the writer is not started", w.cfg.Stream)
	}
	if w.open {
		return fmt.Errorf("begin a batch of stream %s: the one before is neither committed nor aborted", w.cfg.Stream)
	}
	id := w.cfg.NewID()
	w.open, w.tx = true, tally{id: id, batch: batchOf(id)}
	return nil
}

// Row is one data record.
type Row struct {
	// Topic is the whole name: DataTopic's, or that of a published copy.
	Topic string
	// Key is nil of a table without key. Value is nil of a tombstone. Both belong to the Writer from here on
	// and must not be changed.
	Key, Value []byte
	// Seq and Idx place the row in the stream; rows of one topic are appended in order of (Seq, Idx). A
	// tombstone follows its delete and repeats its place.
	Seq   change.Seq
	Idx   uint64
	Flags change.Flags
	// Extra headers follow ours (Debezium's __debezium.newkey and oldkey, traceparent).
	Extra []Header
}

// Append sends one data record. It goes straight to the broker: memory does not grow with the batch. A
// record above the limit gives a *TooLargeError; it was not sent and the batch can go on without it.
func (w *Writer) Append(ctx context.Context, r Row) error {
	if !w.open {
		return fmt.Errorf("append to %s: no batch is open", r.Topic)
	}
	m := Message{Topic: r.Topic, Key: r.Key, Value: r.Value, Headers: encodeHeaders(place{r.Seq, r.Idx, r.Flags, w.tx.batch}, r.Extra)}
	if n := m.size(); n > w.cfg.MaxRecordBytes {
		return &TooLargeError{Topic: r.Topic, Bytes: n, Most: w.cfg.MaxRecordBytes}
	}
	if err := w.p.Produce(ctx, &m); err != nil {
		if tooLarge := new(TooLargeError); errors.As(err, &tooLarge) {
			return err
		}
		return w.fail(fmt.Errorf("append to %s: %w", r.Topic, err))
	}
	if w.tx.records == 0 {
		w.tx.low, w.tx.high = r.Seq, r.Seq
	}
	w.tx.low, w.tx.high = min(w.tx.low, r.Seq), max(w.tx.high, r.Seq)
	w.tx.records++
	return nil
}

// size estimates the record's bytes on the wire.
func (m *Message) size() int {
	n := len(m.Key) + len(m.Value) + 32
	for i := range m.Headers {
		n += len(m.Headers[i].Key) + len(m.Headers[i].Value) + 4
	}
	return n
}

// Abort gives the open batch up. The Writer goes on with Begin.
func (w *Writer) Abort(ctx context.Context) error {
	if !w.open {
		return nil
	}
	w.open = false
	if err := w.p.End(ctx, false); err != nil {
		return w.fail(fmt.Errorf("abort a batch of stream %s: %w", w.cfg.Stream, err))
	}
	return nil
}

// Commit ends the batch: it waits for the data, writes the progress record and the meta records, and
// commits. The caller fills Kind, SeqFrom, SeqTo, Position, CommitMicros, Cover, Tables, Input and Views;
// the rest is the Writer's. meta must not hold MetaNewest. It returns the Mark behind the batch.
//
// ErrFenced: exit. ErrUnknownOutcome or any other error: Start again; if State.Newest.ID is then the
// batch's, it was committed. An argument that does not fit is refused before anything is written, and the
// batch stays open.
func (w *Writer) Commit(ctx context.Context, p wire.Progress, meta []wire.MetaRecord) (change.Mark, error) {
	if !w.open {
		return change.Mark{}, fmt.Errorf("commit a batch of stream %s: none is open", w.cfg.Stream)
	}
	if err := w.check(&p, meta); err != nil {
		return change.Mark{}, fmt.Errorf("commit a batch of stream %s: %w", w.cfg.Stream, err)
	}
	mark, err := w.commit(ctx, p, meta)
	if err != nil {
		return change.Mark{}, w.fail(fmt.Errorf("commit units %d..%d of stream %s: %w", p.SeqFrom, p.SeqTo, w.cfg.Stream, err))
	}
	return mark, nil
}

func (w *Writer) check(p *wire.Progress, meta []wire.MetaRecord) error {
	if err := checkNext(p, w.state.Mark.Seq); err != nil {
		return err
	}
	if w.state.Newest == nil && p.Kind != change.Begin {
		return fmt.Errorf("the first unit of an incarnation is a begin, not %s", p.Kind)
	}
	if w.tx.records > 0 && (w.tx.low < p.SeqFrom || w.tx.high > p.SeqTo) {
		return fmt.Errorf("rows of seq %d..%d do not lie in units %d..%d", w.tx.low, w.tx.high, p.SeqFrom, p.SeqTo)
	}
	for _, r := range meta {
		if r.Key == wire.MetaNewest {
			return fmt.Errorf("meta record %s is the writer's own", r.Key)
		}
		if err := wire.NewMeta().Apply(r); err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) commit(ctx context.Context, p wire.Progress, meta []wire.MetaRecord) (change.Mark, error) {
	parts, err := w.p.Flush(ctx)
	if err != nil {
		return change.Mark{}, err
	}
	if p.Parts, err = w.dataParts(parts); err != nil {
		return change.Mark{}, err
	}
	p.ID, p.Prev, p.Incarnation, p.Writer = w.tx.id, w.state.Mark.ID, w.state.Incarnation, w.cfg.Process
	p.V = wire.ProgressVersion
	value, err := wire.EncodeProgress(&p)
	if err != nil {
		return change.Mark{}, err
	}
	progress := ProgressTopic(w.cfg.Stream)
	if err := w.p.Produce(ctx, &Message{Topic: progress, Value: value}); err != nil {
		return change.Mark{}, err
	}
	if parts, err = w.p.Flush(ctx); err != nil {
		return change.Mark{}, err
	}
	at, err := lastOffset(parts, progress)
	if err != nil {
		return change.Mark{}, err
	}
	floor, full, err := w.produceMeta(ctx, &p, at, meta)
	if err != nil {
		return change.Mark{}, err
	}
	if err := w.p.End(ctx, true); err != nil {
		return change.Mark{}, err
	}
	w.open = false
	if err := w.committed(&p, at, meta); err != nil {
		return change.Mark{}, err
	}
	if full {
		w.sinceFull, w.drop = 0, nil
		w.metaFloor.Store(floor)
	}
	return w.state.Mark, nil
}

// dataParts checks what the broker took against what was appended.
func (w *Writer) dataParts(parts []wire.Part) ([]wire.Part, error) {
	var n int64
	for _, p := range parts {
		n += p.Count
	}
	if n != w.tx.records {
		return nil, fmt.Errorf("the broker acknowledged %d records of %d: %w", n, w.tx.records, ErrRestart)
	}
	return slices.Clone(parts), nil
}

func lastOffset(parts []wire.Part, topic string) (int64, error) {
	for _, p := range parts {
		if p.Topic == topic {
			return p.Next - 1, nil
		}
	}
	return 0, fmt.Errorf("the broker acknowledged no record of %s: %w", topic, ErrRestart)
}

// produceMeta writes the batch's meta records and newest; when it is time, and in the first batch of an
// incarnation, all live ones before them. floor is the offset of the first of these.
func (w *Writer) produceMeta(ctx context.Context, p *wire.Progress, at int64, meta []wire.MetaRecord) (floor int64, full bool, err error) {
	topic := MetaTopic(w.cfg.Stream)
	newest, err := wire.EncodeMeta(wire.MetaNewest, &wire.MetaProgress{V: wire.MetaVersion, Offset: at, Progress: *p})
	if err != nil {
		return 0, false, err
	}
	full = w.cfg.RewriteEvery > 0 && (w.sinceFull >= max(w.cfg.RewriteEvery, 4*len(w.live)) || len(w.drop) > 0)
	var out []wire.MetaRecord
	if full {
		for _, k := range w.drop {
			out = append(out, wire.MetaRecord{Key: k})
		}
		for _, k := range sortedKeys(w.live) {
			out = append(out, wire.MetaRecord{Key: k, Value: w.live[k]})
		}
	}
	for _, r := range append(append(out, meta...), newest) {
		if err := w.p.Produce(ctx, &Message{Topic: topic, Key: []byte(r.Key), Value: r.Value}); err != nil {
			return 0, false, err
		}
	}
	if !full {
		return 0, false, nil
	}
	parts, err := w.p.Flush(ctx)
	if err != nil {
		return 0, false, err
	}
	for _, q := range parts {
		if q.Topic == topic {
			return q.From, true, nil
		}
	}
	return 0, false, fmt.Errorf("the broker acknowledged no record of %s: %w", topic, ErrRestart)
}

// committed moves the state on.
func (w *Writer) committed(p *wire.Progress, at int64, meta []wire.MetaRecord) error {
	for _, r := range meta {
		if len(r.Value) == 0 {
			delete(w.live, r.Key)
		} else {
			w.live[r.Key] = r.Value
		}
		if err := w.state.Meta.Apply(r); err != nil {
			return err
		}
	}
	w.sinceFull += len(meta) + 1
	w.state.Meta.Newest = &wire.MetaProgress{V: wire.MetaVersion, Offset: at, Progress: *p}
	w.state.Newest, w.state.Mark, w.state.Fresh = p, p.Mark(at), false
	return nil
}

// fail marks the Writer as broken and says what kind of break it is.
func (w *Writer) fail(err error) error {
	w.usable, w.open = false, false
	w.epochLost = w.epochLost || errors.Is(err, ErrFenced)
	return err
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
