package embedded_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/internal/stream/embedded"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// An hour at 50 transactions of the source per second, none of which the destination reads.
const (
	outage  = time.Hour
	everyTx = time.Second / 50
	room    = 600_000 // Config.MaxBatches, by default
	split   = 4       // partitions of a topic, by default
)

// touched are the parts that a commit of n transactions of the source writes to: a row or more of each table a
// transaction, and keys that spread over all partitions.
func touched(tables, n int) (parts []wire.Part) {
	for i := range tables * min(split, n) {
		parts = append(parts, wire.Part{Topic: fmt.Sprint(i / split), Partition: int32(i % split), Count: 1})
	}
	return parts
}

// pacing is the time of a writer that commits as often as Pace allows: the clock is the test's.
type pacing struct {
	now, last time.Duration
	fill      float64
	waiting   int // transactions of the source that are not committed yet
}

// transaction lets the next transaction come; n is the number to commit now, 0 if the batch goes on.
func (p *pacing) transaction() (n int) {
	p.now += everyTx
	p.waiting++
	if p.now-p.last < embedded.Pace(p.fill) {
		return 0
	}
	n, p.waiting, p.last = p.waiting, 0, p.now
	return n
}

// TestOutageRoom: the hour fits into the room that a broker has by default, for a destination of five tables and of a
// view, of which a transaction changes rows in all partitions. Time and records are simulated; the pace,
// the count of what is stored and the decision to trim are real.
func TestOutageRoom(t *testing.T) {
	away := func() []change.Mark { return []change.Mark{{Offset: 0}} }
	l, err := embedded.NewLedger(embedded.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0"},
		embedded.Stream{Name: "s", Marks: away}, embedded.Stream{Name: "s-views", Marks: away})
	if err != nil {
		t.Fatal(err)
	}
	var p pacing
	commits, transactions := int64(0), 0
	for tended := time.Duration(0); p.now < outage; {
		n := p.transaction()
		if n > 0 {
			transactions += n
			commits++
			l.Add(0, &wire.Progress{Kind: change.Changes, Parts: touched(5, n)}, commits)
			l.Add(1, &wire.Progress{Kind: change.Changes, Parts: touched(1, split)}, commits)
		}
		if p.now-tended < time.Second {
			continue
		}
		tended = p.now
		var trims bool
		if p.fill, trims, err = l.Tend(); err != nil {
			t.Fatal(err)
		} else if trims {
			t.Fatalf("after %s the broker is %.2f full, and drops what the destination has not read", p.now, p.fill)
		}
	}
	t.Logf("%d transactions in %d commits of each stream; the broker is %.2f full", transactions, commits, p.fill)
	if want := int(outage / everyTx); transactions+p.waiting != want || p.fill < embedded.HalfFull {
		t.Errorf("%d transactions, want %d; without a pace the room would not suffice, so that it is more than half full", transactions, want)
	}
}

// TestOutage is the same over a real broker, with a tenth of the time and of the room, half of which a stream of three
// tables stands for: the destination then reads every transaction, from where it stood.
func TestOutage(t *testing.T) {
	const part = 10
	b := open(t, embedded.Config{MaxBatches: room / part / 2})
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	ctx := t.Context()
	ensure(t, b.Client())
	w := writer(t, b.Client())
	away, err := batch(ctx, w, change.Begin, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Keep(embedded.Stream{Name: "s", Marks: func() []change.Mark { return []change.Mark{away} }, MetaFloor: w.MetaFloor}); err != nil {
		t.Fatal(err)
	}
	var p pacing
	var last change.Mark
	commits, most := 0, 0.0
	for tended := time.Duration(0); p.now < outage/part; {
		if n := p.transaction(); n > 0 {
			if last, err = batch(ctx, w, change.Changes, n, 3); err != nil {
				t.Fatal(err)
			}
			commits++
		}
		if p.now-tended < time.Second {
			continue
		}
		tended = p.now
		if err := b.Tend(ctx); err != nil {
			t.Fatal(err)
		}
		p.fill = b.Fill()
		most = max(most, p.fill)
	}
	t.Logf("%d transactions in %d commits; the broker was %.2f full", int(p.now/everyTx)-p.waiting, commits, most)
	if most < embedded.HalfFull {
		t.Error("the broker was never half full: the test shows nothing")
	}
	r := stream.NewReader(stream.ReaderConfig{Stream: "s", Name: "sink"}, newLog(t, b.Client()), away)
	for r.Mark() != last {
		rec, err := r.Next(ctx)
		if err != nil {
			t.Fatalf("the destination is back: %v", err)
		}
		if err := verify(ctx, rec, 3); err != nil {
			t.Fatal(err)
		}
	}
}
