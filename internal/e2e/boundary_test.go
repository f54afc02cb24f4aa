package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
	"github.com/etlsandbox/cdc/statestore"
)

// places is where everything stands that lasts, seen while no daemon runs: between stages there is nothing else.
type places struct {
	raw, views *wire.Progress // the newest records of both streams
	state      statestore.Marks
	sinkSeq    change.Seq
	shown      [3]string
}

// look reads the topics, the state and the destination of a scene whose daemon is down.
func (s *scene) look() (p places) {
	s.t.Helper()
	addr, closeIt := s.reopened()
	defer closeIt()
	newest := func(name string) *wire.Progress {
		recs, _ := history(s.t, addr, name, 0)
		return recs[len(recs)-1]
	}
	p.raw, p.views = newest(rawStream), newest(viewStream)
	st, err := statestore.Open(filepath.Join(s.data(), "state"), statestore.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	p.state = st.Marks()
	if err := st.Close(); err != nil {
		s.t.Fatal(err)
	}
	pg := s.postgres()
	if err := pg.QueryRow(s.t.Context(), "SELECT seq FROM cdc_progress WHERE stream = $1 AND table_name = ''", viewStream).Scan(&p.sinkSeq); err != nil {
		s.t.Fatal(err)
	}
	p.shown = s.flat(pg)
	return p
}

// crashUntil crashes at a point again and again until what lasts is as wanted: records without changes pass
// the point too.
func (s *scene) crashUntil(point string, there func(places) bool) (p places) {
	s.t.Helper()
	for range 10 {
		s.crash(point, 1)
		if p = s.look(); there(p) {
			return p
		}
	}
	s.t.Fatalf("10 crashes at %s did not lead there: raw %+v, views %+v, state %+v, destination %d", point, p.raw, p.views, p.state, p.sinkSeq)
	return p
}

// TestStageBoundaries stops the daemon behind every stage, each time with one transaction that has got just
// there, and finds it in the topics, the state and the destination, and nowhere before its time.
func TestStageBoundaries(t *testing.T) {
	s := newScene(t, testenv.MariaDB(t)).sakila(0.02)
	proxy := testenv.NewProxy(t, fmt.Sprintf("%s:%d", s.sink.Host, s.sink.Port))
	s.sinkAt = proxy.Addr
	s.start()
	s.waitShown(60 * time.Second)
	if code := s.stop(); code != 0 {
		t.Errorf("exit status %d after SIGTERM, want 0", code)
	}
	was := s.look()
	old := s.truth()
	if was.shown != old {
		t.Fatalf("the destination shows %v, the source %v", was.shown, old)
	}
	s.sourceExec("UPDATE sakila.payment SET amount = amount + 1 ORDER BY payment_id DESC LIMIT 3")
	truth := s.truth()

	// Behind capture: the raw stream holds the transaction, nobody else knows of it.
	p := s.crashUntil("capture-after-commit", func(p places) bool { return p.raw.SeqTo == was.raw.SeqTo+1 })
	if p.views.SeqTo != was.views.SeqTo || p.state.In.Seq > was.raw.SeqTo || p.shown != old {
		t.Errorf("behind capture: views at %d, want %d; state at %d, want at most %d; destination %v, want %v",
			p.views.SeqTo, was.views.SeqTo, p.state.In.Seq, was.raw.SeqTo, p.shown, old)
	}
	rows := int64(0)
	for _, part := range p.raw.Parts {
		rows += part.Count - part.Tombstones
	}
	if p.raw.Kind != change.Changes || rows == 0 {
		t.Errorf("behind capture: the newest record is %+v", p.raw)
	}

	// Behind the joiner's commit: the view stream holds it; the state is behind, the destination as before.
	raw := p.raw.SeqTo
	proxy.Refuse() // the destination must not be faster than the look
	joined := s.crashUntil("join-after-commit", func(p places) bool { return p.views.Kind == change.Changes && p.views.SeqTo > was.views.SeqTo })
	if joined.views.Input == nil || joined.views.Input.Seq != raw || joined.state.In.Seq >= raw || joined.shown != old {
		t.Errorf("behind the joiner's commit: input %+v, want seq %d; state at %d; destination %v, want %v", joined.views.Input, raw, joined.state.In.Seq, joined.shown, old)
	}

	// Behind the joiner: the state says so too.
	s.start()
	s.notReady("neptune")
	eventually(t, 30*time.Second, "the view stream has been taken up", func(ctx context.Context) bool {
		st, err := s.client.Status(ctx)
		return err == nil && len(st.Stages) == 2 && st.Stages[1].State == "running" && st.Streams[1].Seq >= uint64(joined.views.SeqTo)
	})
	if code := s.stop(); code != 0 {
		t.Errorf("exit status %d after SIGTERM, want 0", code)
	}
	p = s.look()
	if p.state.In.Seq != raw || p.state.Out.Seq != p.views.SeqTo || p.views.SeqTo != joined.views.SeqTo || p.shown != old {
		t.Errorf("behind the joiner: state %+v, want %d in and %d out; views at %d, want %d; destination %v, want %v",
			p.state, raw, p.views.SeqTo, p.views.SeqTo, joined.views.SeqTo, p.shown, old)
	}

	// Behind the destination: it shows it and says so.
	if err := proxy.Heal(); err != nil {
		t.Fatal(err)
	}
	p = s.crashUntil("deliver-applied", func(p places) bool { return p.shown != old })
	if p.shown != truth || p.sinkSeq != joined.views.SeqTo {
		t.Errorf("behind the destination: it shows %v at %d, want %v at %d", p.shown, p.sinkSeq, truth, joined.views.SeqTo)
	}
	before := s.flatVersions()
	s.start()
	s.waitShown(60 * time.Second)
	s.verify()
	if _, changed := s.rewritten(before, s.flatVersions()); changed > 0 {
		t.Errorf("%d rows changed after the end", changed)
	}
}
