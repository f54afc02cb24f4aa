package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/etlsandbox/cdc/internal/admin"
	"github.com/etlsandbox/cdc/internal/sample"
	"github.com/etlsandbox/cdc/internal/testenv"
)

// crashPoint is a place of the protocol at which the daemon kills itself, and how it gets there.
type crashPoint struct {
	name string
	n    int // dies when it passes for the nth time
	// before prepares, with the daemon down and the load running.
	before func(*scene)
	// cover says that a cover of everything leads there; shown, that the destination may show it already.
	cover, shown bool
}

// crashPoints lists every named failpoint. The crash matrix of a stage that reads a log, computes, writes a
// transaction and then its state has these places; what the numbers stand for:
//
//	 1 input taken, nothing computed            deliver-prepared, capture-begin .. (nothing is open)
//	 2 computed, no transaction begun           join-folded
//	 3 some outputs in an open transaction      capture-row-appended, join-outputs
//	 4 everything written but the commit        capture-before-commit, join-before-commit
//	 6 commit sent, the answer not seen         capture-after-commit, join-after-commit (the restart finds it committed)
//	 7 committed, state not written             join-after-commit
//	 8 state written without fsync, killed      join-state-written (a killed process loses it)
//	 9 state's log torn                         TestTornState
//	10 state flushes or merges its files        state-flush, state-compaction
//	13, 14 fenced before and after a commit     the same restarts: the next InitProducerID fences; see also internal/stream
//	15 transaction ended by its time limit      internal/stream/kafka
//	16 state-only replay interrupted            join-replay
//	17 first load interrupted                   capture-begin .. capture-after-end, join-begin .. join-after-end, join-adopted, deliver-adopted
//	18 destination committed, not told          deliver-applied, deliver-begin, deliver-chunk, deliver-after-end
//	20 capture in the middle of a transaction   capture-row-appended
//
// (5 is about offsets of consumer groups, which are not used; 11 and 12 are healed by a cover: TestHeal.)
var crashPoints = []crashPoint{
	{name: "capture-row-appended", n: 7},
	{name: "capture-before-commit", n: 3},
	{name: "capture-after-commit", n: 3},
	{name: "join-folded", n: 3},
	{name: "join-outputs", n: 3},
	{name: "join-before-commit", n: 3},
	{name: "join-after-commit", n: 3},
	{name: "join-state-written", n: 3},
	{name: "join-replay", n: 1, before: crashedBeforeState},
	{name: "deliver-prepared", n: 1},
	{name: "deliver-before-apply", n: 3},
	{name: "deliver-applied", n: 3},
	{name: "join-adopted", n: 1, before: withoutState},
	{name: "deliver-adopted", n: 1, before: withoutDestination},
	{name: "state-flush", n: 1, before: crashedBeforeState},
	{name: "state-compaction", n: 1, before: killedTwice},
	{name: "capture-topic-made", n: 1, before: newTable},
	{name: "capture-begin", n: 1, cover: true},
	{name: "capture-chunk", n: 3, cover: true},
	{name: "capture-before-end", n: 1, cover: true},
	{name: "capture-after-end", n: 1, cover: true, shown: true},
	{name: "join-begin", n: 1, cover: true},
	{name: "join-chunk", n: 2, cover: true},
	{name: "join-before-end", n: 1, cover: true},
	{name: "join-after-end", n: 1, cover: true, shown: true},
	{name: "deliver-begin", n: 1, cover: true},
	{name: "deliver-chunk", n: 2, cover: true},
	{name: "deliver-before-end", n: 1, cover: true},
	{name: "deliver-after-end", n: 1, cover: true, shown: true},
}

// crashThreads is source.snapshot.threads of TestCrashPoints.
const crashThreads = 2

// crashedBeforeState leaves a state that is behind the view stream: the next start replays.
func crashedBeforeState(s *scene) { s.crash("join-after-commit", 3) }

// withoutState takes the join state away: the next start asks for a cover.
func withoutState(s *scene) {
	if err := os.RemoveAll(filepath.Join(s.data(), "state")); err != nil {
		s.t.Fatal(err)
	}
}

// withoutDestination makes the destination a new one: the next start fills it.
func withoutDestination(s *scene) {
	s.sinkExec(`DROP TABLE "CustomerOrderFlat"`, "DROP TABLE cdc_progress", "DROP TABLE cdc_quarantine")
}

// TestCrashPointsAreComplete: crashPoints has every failpoint that the stages and the state call, and no other.
func TestCrashPointsAreComplete(t *testing.T) {
	var called, listed []string
	for _, in := range []struct{ files, call, prefix string }{
		{"../pipeline/*.go", `\.Fail\("([^"]+)"\)`, ""},
		{"../../statestore/*.go", `\.begins\("([^"]+)"\)`, "state-"},
	} {
		files, err := filepath.Glob(in.files)
		if err != nil {
			t.Fatal(err)
		}
		call := regexp.MustCompile(in.call)
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range call.FindAllSubmatch(text, -1) {
				called = append(called, in.prefix+string(m[1]))
			}
		}
	}
	for _, p := range crashPoints {
		listed = append(listed, p.name)
	}
	slices.Sort(called)
	slices.Sort(listed)
	if !slices.Equal(called, listed) {
		t.Errorf("the stages call\n%v\nthe table has\n%v", called, listed)
	}
}

// TestCrashPoints kills the daemon at every named place of the protocol, once, starts it again, and finds
// both sides equal. A cover that was under way goes on where it was, and the destination shows its old
// boundary until the end; at the source no more chunks are read again than were being read. (Invariants I1, I2, I3, I4.)
func TestCrashPoints(t *testing.T) {
	s := newScene(t, testenv.NewMariaDB(t)).sakila(0.05)
	s.sets = append(s.sets, "source.snapshot.chunk_rows=150", fmt.Sprintf("source.snapshot.threads=%d", crashThreads))
	s.start()
	s.waitShown(90 * time.Second)
	s.kill()
	for i, p := range crashPoints {
		t.Run(p.name, func(t *testing.T) {
			defer s.within(t)()
			if p.cover {
				s.coverCrash(p, i)
			} else {
				s.loadCrash(p, int64(i))
			}
			s.digests()
			s.verify()
			s.kill()
		})
	}
}

// within makes a subtest the one that the scene speaks to, until the returned function is called.
func (s *scene) within(t *testing.T) (leave func()) {
	outer := s.t
	s.t = t
	return func() {
		if t.Failed() {
			t.Logf("last lines of the daemon:\n%s", s.tail(15))
		}
		s.t = outer
	}
}

// armed starts a daemon that kills itself when it passes a point for the nth time.
func (s *scene) armed(point string, n int) {
	s.t.Helper()
	s.start(fmt.Sprintf("CDC_FAILPOINT=%s:%d", point, n))
}

// crash is armed, and waits until the daemon is dead.
func (s *scene) crash(point string, n int) {
	s.t.Helper()
	s.armed(point, n)
	s.crashed(point)
}

func (s *scene) crashed(point string) {
	s.t.Helper()
	s.ended(60 * time.Second)
	ws, ok := s.daemon.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !ws.Signaled() || ws.Signal() != syscall.SIGKILL {
		s.t.Fatalf("the daemon did not die at %s: %v\n%s", point, s.daemon.ProcessState, s.tail(10))
	}
}

// load writes to the Sakila schema until the returned function is called.
func (s *scene) load(seed int64) (stop func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	l := sample.NewLoad(s.db, "sakila", sample.LoadOptions{Seed: seed + 1, Workers: 2, RatePerSecond: 40})
	var work sync.WaitGroup
	t := s.t
	work.Go(func() {
		if _, err := l.Run(ctx); err != nil && ctx.Err() == nil {
			t.Errorf("load: %v", err)
		}
	})
	return sync.OnceFunc(func() { cancel(); work.Wait() })
}

// loadCrash crashes under a light load and starts again.
func (s *scene) loadCrash(p crashPoint, seed int64) {
	stop := s.load(seed)
	defer stop()
	if p.before != nil {
		p.before(s)
	}
	s.crash(p.name, p.n)
	s.start()
	stop()
	s.waitShown(60 * time.Second)
}

// coverCrash crashes in a cover of everything that runs beside a change of all rows, and starts again.
func (s *scene) coverCrash(p crashPoint, number int) {
	t := s.t
	s.armed(p.name, p.n)
	s.waitShown(60 * time.Second)
	pg := s.postgres()
	before := s.flat(pg)
	_, raw := history(t, s.broker, rawStream, 0)
	_, views := history(t, s.broker, viewStream, 0)
	reads := s.chunkReads()
	// The daemon may die before it answers.
	_, _ = s.client.Resync(t.Context(), admin.ResyncRequest{All: true})
	s.sourceExec(fmt.Sprintf("UPDATE sakila.customer SET last_name = 'Case %d'", number))
	s.crashed(p.name)
	if now := s.flat(pg); now != before && !p.shown {
		t.Errorf("in the cover the destination showed %v, want %v", now, before)
	}
	s.start()
	seen := s.watchFlat(pg)
	s.waitShown(60 * time.Second)
	truth := s.truth()
	for _, d := range seen() {
		if d != before && d != truth {
			t.Errorf("a reader saw %v; before it was %v, at the end %v", d, before, truth)
		}
	}
	if truth == before {
		t.Fatal("the cover changed nothing: the test shows nothing")
	}
	rawRecs, _ := history(t, s.broker, rawStream, raw)
	viewRecs, _ := history(t, s.broker, viewStream, views)
	chunks := oneCover(t, rawStream, rawRecs)
	t.Logf("one cover of %d chunks, one of the view of %d", chunks, oneCover(t, viewStream, viewRecs))
	s.readOnce(chunks, reads(), crashThreads)
}

// watchFlat reads the destination's digest again and again; the returned function ends that and tells what
// was seen, each change once.
func (s *scene) watchFlat(pg *pgx.Conn) (seen func() [][3]string) {
	stop := make(chan struct{})
	var work sync.WaitGroup
	var all [][3]string
	t := s.t
	work.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			d, err := readFlat(t.Context(), pg)
			if err != nil {
				t.Errorf("reader: %v", err)
				return
			}
			if len(all) == 0 || all[len(all)-1] != d {
				all = append(all, d)
			}
		}
	})
	return func() [][3]string { close(stop); work.Wait(); return all }
}

func readFlat(ctx context.Context, pg *pgx.Conn) (d [3]string, err error) {
	err = pg.QueryRow(ctx, sample.FlatDigest(sample.PostgreSQL, `"CustomerOrderFlat"`, "")).Scan(&d[0], &d[1], &d[2])
	return d, err
}

// flat is the count, sum and digest of what the destination shows of the Sakila view.
func (s *scene) flat(pg *pgx.Conn) [3]string {
	s.t.Helper()
	d, err := readFlat(s.t.Context(), pg)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// truth is the source's own answer to the same question.
func (s *scene) truth() (d [3]string) {
	s.t.Helper()
	db, err := s.source.Open("sakila")
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRowContext(s.t.Context(), sample.FlatDigest(sample.MySQL, sample.FlatSource(), "")).Scan(&d[0], &d[1], &d[2]); err != nil {
		s.t.Fatal(err)
	}
	return d
}

func (s *scene) sourceExec(statements ...string) {
	s.t.Helper()
	if err := s.source.Exec(s.t.Context(), statements...); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) sinkExec(statements ...string) {
	s.t.Helper()
	if err := s.sink.Exec(s.t.Context(), s.target, statements...); err != nil {
		s.t.Fatal(err)
	}
}
