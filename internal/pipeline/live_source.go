package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/cdc/binlog"
	"github.com/etlsandbox/cdc/cdc/gtid"
	"github.com/etlsandbox/cdc/schemas/change"
)

// LiveSource is the source database: its log is read ahead by one goroutine, in slices of items, so that
// decoding and encoding overlap.
type LiveSource struct {
	src    *cdc.Source
	filter cdc.Filter
	wake   chan struct{}
	// Read, unless nil, is told by Next what was read of the log: bytes, and rows passed over by table.
	Read func(bytes uint64, filtered map[string]uint64)

	mu     sync.Mutex // guards reader
	reader *binlog.Reader
	stop   context.CancelFunc
	done   chan struct{}
	items  chan logSlice
}

// logSlice is what was read in one go, with the size of its events and the rows passed over meanwhile.
type logSlice struct {
	items    []LogItem
	err      error
	bytes    uint64
	filtered map[string]uint64
}

// sliceItems bounds a slice of items, sliceAhead how many slices wait.
const (
	sliceItems = 256
	sliceAhead = 4
)

// NewLiveSource reads the captured tables of a source.
func NewLiveSource(src *cdc.Source, filter cdc.Filter) *LiveSource {
	return &LiveSource{src: src, filter: filter, wake: make(chan struct{}, 1)}
}

// Wake makes a waiting Next return early. Safe for any goroutine.
func (s *LiveSource) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Tables implements Source.
func (s *LiveSource) Tables(ctx context.Context) ([]*change.Table, error) {
	ls, unfit, err := s.layouts(ctx)
	if err != nil {
		return nil, err
	}
	ts := make([]*change.Table, len(ls))
	for i, l := range ls {
		ts[i] = l.Table
	}
	if len(unfit) == 0 {
		return ts, nil
	}
	bad := &UnfitError{}
	for _, u := range unfit {
		bad.Tables = append(bad.Tables, TableChange{Table: u.Table.String(), Refused: u.Reason, Hint: u.Hint})
	}
	return ts, bad
}

// layouts are the captured tables that can be followed, and those that cannot.
func (s *LiveSource) layouts(ctx context.Context) ([]*cdc.Layout, []cdc.Unfit, error) {
	ls, err := s.src.Layouts(ctx, s.filter)
	unfit, ok := cdc.UnfitTables(err)
	if err != nil && !ok {
		return nil, nil, err
	}
	return ls, unfit, nil
}

// Now implements Source.
func (s *LiveSource) Now(ctx context.Context) (change.Position, error) { return s.src.Current(ctx) }

// Open implements Source.
func (s *LiveSource) Open(ctx context.Context, from change.Position, shapes []*change.Table) error {
	if err := s.Close(); err != nil {
		return err
	}
	now, unfit, err := s.layouts(ctx)
	if err != nil {
		return err
	}
	byID := map[change.TableID]*cdc.Layout{}
	for _, l := range now {
		byID[l.Table.ID] = l
	}
	var layouts []*cdc.Layout
	for _, t := range shapes {
		if l := byID[t.ID]; l != nil {
			layouts = append(layouts, l.At(t))
		}
	}
	r, err := binlog.Open(ctx, s.src, binlog.Options{Filter: s.filter, Layouts: layouts, From: from})
	if errors.Is(err, cdc.ErrPurged) || errors.Is(err, cdc.ErrIncident) {
		return fmt.Errorf("%w: %w", ErrPurged, err)
	}
	if err != nil {
		return err
	}
	for _, u := range unfit {
		r.PassOver(u.Table)
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.mu.Lock()
	s.reader = r
	s.mu.Unlock()
	s.stop, s.done, s.items = stop, make(chan struct{}), make(chan logSlice, sliceAhead)
	go func() {
		defer close(s.done)
		pump(run, r, s.src, s.filter, s.items)
	}()
	return nil
}

// Close ends reading; Open begins anew.
func (s *LiveSource) Close() error {
	if s.stop == nil {
		return nil
	}
	s.stop()
	s.mu.Lock()
	err := s.reader.Close()
	s.reader = nil
	s.mu.Unlock()
	<-s.done
	s.stop = nil
	return err
}

// Next implements Source.
func (s *LiveSource) Next(ctx context.Context, wait time.Duration) ([]LogItem, error) {
	var got logSlice
	select {
	case got = <-s.items:
	default:
		if wait <= 0 {
			return nil, ctx.Err()
		}
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case got = <-s.items:
		case <-s.wake:
			return nil, nil
		case <-t.C:
			return nil, nil
		}
	}
	if s.Read != nil && (got.bytes > 0 || len(got.filtered) > 0) {
		s.Read(got.bytes, got.filtered)
	}
	if errors.Is(got.err, cdc.ErrPurged) || errors.Is(got.err, cdc.ErrIncident) {
		got.err = fmt.Errorf("%w: %w", ErrPurged, got.err)
	}
	return got.items, got.err
}

// pump reads the log until it fails, and hands slices over: full ones, or what there is when the log has
// nothing more at hand.
func pump(ctx context.Context, r *binlog.Reader, src *cdc.Source, filter cdc.Filter, out chan<- logSlice) {
	c := itemConverter{r: r, src: src, filter: filter}
	bytes, filtered := uint64(0), map[change.TableID]uint64{}
	for {
		var err error
		c.out = make([]LogItem, 0, 16)
		for err == nil && len(c.out) < sliceItems && (len(c.out) == 0 || r.Buffered()) {
			var it binlog.Item
			if it, err = r.Next(ctx); err == nil {
				err = c.add(ctx, &it)
			}
		}
		slice := logSlice{items: c.out, err: err, bytes: r.Bytes() - bytes, filtered: newlyFiltered(r, filtered)}
		bytes += slice.bytes
		select {
		case out <- slice:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// newlyFiltered returns the rows passed over since the last call, by table, and notes them in seen.
func newlyFiltered(r *binlog.Reader, seen map[change.TableID]uint64) (byTable map[string]uint64) {
	for id, n := range r.Filtered() {
		if n == seen[id] {
			continue
		}
		if byTable == nil {
			byTable = map[string]uint64{}
		}
		byTable[id.String()] = n - seen[id]
		seen[id] = n
	}
	return byTable
}

// itemConverter turns the log's items into the stage's: a statement, which the log wraps in a transaction
// of its own, becomes one item.
type itemConverter struct {
	r      *binlog.Reader
	src    *cdc.Source
	filter cdc.Filter
	out    []LogItem
	begun  bool // TxBegin was handed over
	schema *SchemaChange
}

func (c *itemConverter) add(ctx context.Context, it *binlog.Item) error {
	switch it.Kind {
	case binlog.Begin:
		c.begun, c.schema = false, nil
	case binlog.Row:
		c.begin(it)
		c.out = append(c.out, LogItem{Kind: TxRow, Event: it.Event})
	case binlog.Schema:
		return c.statement(ctx, it.Schema)
	case binlog.Pause:
		hint := it.Pause.Hint
		if hint == "" {
			hint = "mend the value or leave the column out (source.columns.exclude), then run cdc resync " + it.Pause.Table.String()
		}
		c.out = append(c.out, LogItem{Kind: Pause, Change: &SchemaChange{Changes: []TableChange{{
			Table: it.Pause.Table.String(), Refused: it.Pause.Reason.Error(), Hint: hint,
		}}}})
	case binlog.Commit:
		if c.schema != nil && !c.begun {
			c.out = append(c.out, LogItem{Kind: DDL, Position: c.r.Position(), CommitMicros: it.Tx.CommitMicros, Change: c.schema})
			return nil
		}
		c.begin(it)
		c.out = append(c.out, LogItem{Kind: TxCommit, Position: c.r.Position(), CommitMicros: it.Tx.CommitMicros})
	case binlog.Heartbeat:
		c.out = append(c.out, LogItem{Kind: Heartbeat, Position: c.r.Position()})
	}
	return nil
}

func (c *itemConverter) begin(it *binlog.Item) {
	if !c.begun {
		c.begun = true
		c.out = append(c.out, LogItem{Kind: TxBegin, CommitMicros: it.Tx.CommitMicros})
	}
}

func (c *itemConverter) statement(ctx context.Context, s *binlog.SchemaChange) error {
	if c.schema == nil {
		c.schema = &SchemaChange{Statement: s.SQL}
	}
	t := TableChange{Table: s.Table.String()}
	switch s.Kind {
	case binlog.Followed:
		t.New, t.Unlogged = s.New, s.Refill
	case binlog.RowsChanged:
		t.Unlogged = true
	case binlog.Created:
		l, err := c.src.Layout(ctx, c.filter, s.Table)
		switch unfit, ok := cdc.UnfitTables(err); {
		case ok && len(unfit) > 0:
			c.r.PassOver(s.Table)
			t.Created, t.Refused, t.Hint = true, unfit[0].Reason, unfit[0].Hint
		case err != nil:
			return err
		case l == nil:
			return nil // it is gone again already
		default:
			c.r.Track(l)
			t.New, t.Created = l.Table, true
		}
	case binlog.Gone, binlog.Unsupported:
		t.Refused, t.Hint, t.Gone = s.Reason, s.Hint, s.Kind == binlog.Gone
		if t.Hint == "" {
			t.Hint = hintGone(t.Table)
		}
	}
	c.schema.Changes = append(c.schema.Changes, t)
	return nil
}

// LivePlaces compares positions of one server: by GTIDs where it has them, else by file and offset.
type LivePlaces struct {
	Flavor cdc.Flavor
}

// Contains implements Places.
func (p LivePlaces) Contains(have, want change.Position) (bool, error) {
	if want.GTID == "" {
		return !before(have, want), nil
	}
	if p.Flavor == cdc.MariaDB {
		h, err := gtid.ParseMariaDB(have.GTID)
		if err != nil {
			return false, err
		}
		w, err := gtid.ParseMariaDB(want.GTID)
		return err == nil && h.Contains(w), err
	}
	h, err := gtid.ParseMySQL(have.GTID)
	if err != nil {
		return false, err
	}
	w, err := gtid.ParseMySQL(want.GTID)
	return err == nil && h.Contains(w), err
}

// before compares files by number, then offsets.
func before(a, b change.Position) bool {
	x, y := fileNumber(a.File), fileNumber(b.File)
	return x < y || x == y && a.Offset < b.Offset
}

// fileNumber is the number at the end of a log file's name.
func fileNumber(file string) (n uint64) {
	i := len(file)
	for i > 0 && file[i-1] >= '0' && file[i-1] <= '9' {
		i--
	}
	for ; i < len(file); i++ {
		n = n*10 + uint64(file[i]-'0')
	}
	return n
}
