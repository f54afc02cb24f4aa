package pipeline

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/internal/stream/memlog"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// stillSource is a source whose tables are empty; its log says what the test wants it to.
type stillSource struct {
	tables []*change.Table
	items  []LogItem
}

func (s *stillSource) Open(context.Context, change.Position, []*change.Table) error { return nil }
func (s *stillSource) Now(context.Context) (change.Position, error)                 { return stillPlace(), nil }
func (s *stillSource) Tables(context.Context) ([]*change.Table, error)              { return s.tables, nil }

func (s *stillSource) Next(context.Context, time.Duration) ([]LogItem, error) {
	items := s.items
	s.items = nil
	return items, nil
}

func stillPlace() change.Position {
	return change.Position{Server: "s", File: "log.000001", Offset: 4}
}

type samePlace struct{}

func (samePlace) Contains(change.Position, change.Position) (bool, error) { return true, nil }

// emptyChunks reads tables without rows.
type emptyChunks struct{ done []ChunkResult }

func (c *emptyChunks) Ordered(*change.Table) int { return 1 }

func (c *emptyChunks) Submit(_ context.Context, r ChunkRequest) {
	c.done = append(c.done, ChunkResult{Job: r.Job, Range: r.Range, High: stillPlace()})
}

func (c *emptyChunks) Poll() (ChunkResult, bool) {
	if len(c.done) == 0 {
		return ChunkResult{}, false
	}
	r := c.done[0]
	c.done = c.done[1:]
	return r, true
}

// pausedCapture is a capture of two tables that are covered, the first of which has then been paused.
type pausedCapture struct {
	*Capture
	t     *testing.T
	src   *stillSource
	asks  *AskQueue
	b     *memlog.Broker
	ended []change.Cover
	left  []string
}

func newPausedCapture(t *testing.T, reads bool) *pausedCapture {
	t.Helper()
	a, b := testTable("a"), testTable("b")
	f := newFeed(t, a, b)
	p := &pausedCapture{t: t, src: &stillSource{tables: []*change.Table{a, b}}, asks: NewAskQueue(func() {}), b: f.b}
	enc, err := wire.NewEncoder("0", "mysql", testStream)
	if err != nil {
		t.Fatal(err)
	}
	p.Capture = NewCapture(CaptureConfig{
		Stream: testStream, Server: "s", BatchRows: 10, ChunkRows: 10, Threads: 2, KeepLimit: 10,
		Reads: func(change.TableID) bool { return reads }, Left: func(id change.TableID) { p.left = append(p.left, id.String()) },
		Observe: func(c Committed) {
			if c.Kind == change.End {
				p.ended = append(p.ended, *c.Cover)
			}
		},
	}, p.src, samePlace{}, &emptyChunks{}, p.asks, WallClock{}, f.w, enc)
	if err := p.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.steps(20)
	p.src.items = []LogItem{{Kind: Pause, Change: &SchemaChange{Changes: []TableChange{{Table: "d.a", Refused: "a value", Hint: "mend it"}}}}}
	p.steps(20)
	if p.paused["d.a"] == "" || len(p.ledger.covers) != 1 {
		t.Fatalf("paused %v, covers %v", p.paused, p.ledger.covers)
	}
	p.ended = nil
	return p
}

func (p *pausedCapture) steps(n int) {
	p.t.Helper()
	for range n {
		if err := p.step(p.t.Context()); err != nil {
			p.t.Fatal(err)
		}
		for p.b.Marker(func(int) int { return 0 }) {
		}
	}
}

// TestOnlyAnOperatorEndsAPause: a reader that asks for a paused table beside others gets the others, and the pause
// goes on, over a restart too; an operator's ask ends it.
func TestOnlyAnOperatorEndsAPause(t *testing.T) {
	p := newPausedCapture(t, true)
	p.asks.Ask(Ask{Reader: "neptune", Tables: []string{"d.a", "d.b"}, Heal: true, Since: p.w.State().Mark.Offset + 1})
	p.steps(30)
	if len(p.ended) != 1 || p.ended[0].For != "neptune" || !slices.Equal(p.ended[0].Tables, []string{"d.b"}) {
		t.Errorf("the reader's cover ended as %+v", p.ended)
	}
	if err := p.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p.steps(20); p.paused["d.a"] == "" {
		t.Error("the reader's ask, or the restart, has ended the pause")
	}
	p.ended = nil
	began := ""
	p.asks.Ask(Ask{Tables: []string{"d.a"}, Done: func(cover string, err error) {
		if began = cover; err != nil {
			t.Error(err)
		}
	}})
	p.steps(30)
	if p.paused["d.a"] != "" || len(p.ended) != 1 || p.ended[0].ID != began || len(p.ledger.covers) != 0 {
		t.Errorf("an operator's ask: paused %v, ended %+v, open %v", p.paused, p.ended, p.ledger.covers)
	}
}

// TestPausedTableGone: what is paused and not there any more is not covered for an operator, who is told so; one that
// no view reads leaves.
func TestPausedTableGone(t *testing.T) {
	p := newPausedCapture(t, true)
	p.src.tables = p.src.tables[1:]
	var why error
	p.asks.Ask(Ask{Tables: []string{"d.a"}, Done: func(_ string, err error) { why = err }})
	if p.steps(20); why == nil || p.paused["d.a"] == "" || len(p.left) != 0 {
		t.Errorf("asked for what is gone: %v, paused %v, left %v", why, p.paused, p.left)
	}

	p = newPausedCapture(t, false)
	p.src.items = []LogItem{{Kind: DDL, Position: stillPlace(), Change: &SchemaChange{Statement: "DROP", Changes: []TableChange{{Table: "d.a", Gone: true, Refused: "DROP"}}}}}
	p.steps(20)
	if d := cmp.Diff([]string{"d.a"}, p.left); d != "" || len(p.ledger.covers) != 0 || p.paused["d.a"] != "" {
		t.Errorf("left %v, covers %v, paused %v", p.left, p.ledger.covers, p.paused)
	}
}
