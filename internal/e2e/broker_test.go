package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/stream/embedded"
	"github.com/etlsandbox/cdc/internal/testenv"
)

// TestBrokerGone: a Kafka that is not there, at the start as later, is waited for, whatever it has lost meanwhile;
// then both sides are equal.
func TestBrokerGone(t *testing.T) {
	s := newScene(t, testenv.MariaDB(t)).sakila(0.02)
	at, dir := free(t), t.TempDir()
	s.external = fmt.Sprintf("{type: kafka, brokers: [%q], replication_factor: 1}", at)
	open := func() (closeIt func()) {
		t.Helper()
		b, err := embedded.Open(t.Context(), embedded.Config{Dir: dir, Listen: at})
		if err != nil {
			t.Fatal(err)
		}
		return func() {
			t.Helper()
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.start()
	s.notReady(at)
	if code, out := s.run("wait", "--timeout", "1s"); code != 2 {
		t.Errorf("cdc wait: status %d, want 2: %s", code, out)
	}
	closeIt := open()
	s.ready()
	s.waitShown(60 * time.Second)

	stop := s.load(1)
	defer stop()
	from := s.streamSeq()
	eventually(t, 30*time.Second, "the streams go on", func(context.Context) bool { return s.streamSeq() > from+20 })
	closeIt() // in the middle of what it is asked to do, some of which it may lose
	s.notReady(at)
	closeIt = open()
	s.ready()
	stop()
	s.waitShown(60 * time.Second)
	s.digests()
	s.verify()
	if code := s.stop(); code != 0 {
		t.Errorf("exit status %d after SIGTERM, want 0", code)
	}
	closeIt()
}
