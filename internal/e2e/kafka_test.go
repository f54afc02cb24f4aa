package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/etlsandbox/cdc/internal/sample"
	"github.com/etlsandbox/cdc/internal/testenv"
)

// kafka runs a cluster of brokers in the test's process, for daemons that do not bring their own.
func (s *scene) kafka(brokers int) *kfake.Cluster {
	s.t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(brokers))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	s.external = fmt.Sprintf("{type: kafka, brokers: %s, replication_factor: 1}", quoted(c.ListenAddrs()))
	return c
}

// lateMarkers makes brokers serve now and then as if commit markers had not reached their data
// partitions yet, as brokers of a real cluster do for moments: they get there one by one. It returns how
// often that happened.
func lateMarkers(c *kfake.Cluster) *atomic.Int64 {
	late := new(atomic.Int64)
	rnd := rand.New(rand.NewPCG(1, 2)) // control functions run one after the other
	c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		fetch, ok := req.(*kmsg.FetchRequest)
		if !ok || rnd.IntN(2) == 0 {
			return nil, nil, false
		}
		resp := fetch.ResponseKind().(*kmsg.FetchResponse)
		for _, t := range fetch.Topics {
			if !strings.HasPrefix(t.Topic, viewStream+".") || strings.HasSuffix(t.Topic, ".progress") || strings.HasSuffix(t.Topic, ".meta") {
				return nil, nil, false
			}
			rt := kmsg.NewFetchResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				rp := kmsg.NewFetchResponseTopicPartition()
				rp.Partition, rp.LogStartOffset, rp.LastStableOffset = p.Partition, 0, p.FetchOffset
				rp.HighWatermark = p.FetchOffset + 1<<20 // it is there, and it is not committed yet
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		late.Add(1)
		return resp, nil, true
	})
	return late
}

// TestProgressGate shows that the check of TestKill can fail: where commit markers reach partitions one by one,
// a reader in the destination sees states that the source never had as soon as readers of the stream do not
// wait for all of what a progress record names, and sees none while they do. (Invariant I1.)
func TestProgressGate(t *testing.T) {
	for _, off := range []string{"", "readers-not-gated", "readers-not-gated,batch-counts"} {
		t.Run("without "+off, func(t *testing.T) {
			s := newScene(t, testenv.MariaDB(t)).sakila(0.02)
			late := lateMarkers(s.kafka(8))
			var want [2]string
			sum := func(ctx context.Context, q interface {
				Scan(dest ...any) error
			}) (got [2]string, err error) {
				err = q.Scan(&got[0], &got[1])
				return got, err
			}
			db, err := s.source.Open("sakila")
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if want, err = sum(t.Context(), db.QueryRowContext(t.Context(), sample.LedgerSum(sample.MySQL, sample.FlatSource(), ""))); err != nil {
				t.Fatal(err)
			}
			// It is filled under all rules.
			s.start()
			s.waitShown(60 * time.Second)
			s.kill()
			s.start("CDC_TEST_RULES_OFF=" + off)
			pg := s.postgres()
			stop := s.load(1)
			defer stop()
			reads, wrong := 0, 0
			limit := 4 * time.Second
			if strings.Contains(off, "batch-counts") {
				limit = time.Minute // the naive form goes on until it fails: a marker must be late between two transfers
			}
			for end := time.Now().Add(limit); time.Now().Before(end) && (wrong == 0); reads++ {
				got, err := sum(t.Context(), pg.QueryRow(t.Context(), sample.LedgerSum(sample.PostgreSQL, `"CustomerOrderFlat"`, "")))
				if err != nil {
					t.Fatal(err)
				}
				if got != want {
					wrong++
				}
			}
			stop()
			t.Logf("%d reads, %d of a state that the source never had; markers were late for %d reads of the stream", reads, wrong, late.Load())
			switch {
			case late.Load() == 0:
				t.Error("no marker was late: the test shows nothing")
			case off == "":
				s.waitShown(60 * time.Second)
				s.digests()
				s.verify()
				if wrong > 0 {
					t.Error("with the gate no read may be wrong")
				}
			case off == "readers-not-gated":
				// There is a second line: a destination takes only as many rows as were announced.
				if wrong > 0 || !strings.Contains(s.log(), "the batch announces") {
					t.Errorf("%d reads were wrong though batches were counted", wrong)
				}
			case wrong == 0:
				t.Error("without the gate no read was wrong: the check cannot fail")
			}
		})
	}
	s := newScene(t, testenv.MariaDB(t)).sakila(0.01)
	s.refusedWith([]string{"CDC_TEST_RULES_OFF=no-such-rule"}, 2, "no-such-rule", "readers-not-gated")
}

// TestSecondDaemonOnOneKafka: of two daemons on the same streams, the one that started later writes; the
// earlier one ends.
func TestSecondDaemonOnOneKafka(t *testing.T) {
	s := newScene(t, testenv.MariaDB(t)).sakila(0.02)
	s.kafka(1)
	s.start()
	s.waitShown(60 * time.Second)
	stop := s.load(1)
	defer stop()
	ended := s.leave()
	s.folder, s.listen = filepath.Join(s.dir, "other"), free(t)
	s.configure()
	s.start()
	if code := ended(); code != 3 {
		t.Errorf("the first daemon ended with status %d, want 3", code)
	}
	stop()
	s.waitShown(60 * time.Second)
	s.digests()
	s.verify()
}

// leave lets the daemon run on while the scene starts another one. The returned function waits until it has
// ended by itself and returns its status.
func (s *scene) leave() (ended func() int) {
	s.t.Helper()
	t, cmd, exited, client := s.t, s.daemon, s.exited, s.client
	t.Cleanup(sync.OnceFunc(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-exited
		client.Close()
	}))
	return func() int {
		t.Helper()
		select {
		case <-exited:
		case <-time.After(60 * time.Second):
			t.Fatal("the first daemon goes on")
		}
		return cmd.ProcessState.ExitCode()
	}
}
