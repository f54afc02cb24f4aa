package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/testenv"
)

// TestStopUnderLoad: a daemon that is stopped in the middle of a load ends its stages before the broker that they
// write to: it goes on where it was, without a cover and without a reader that has seen what is lost.
func TestStopUnderLoad(t *testing.T) {
	s := newScene(t, testenv.MariaDB(t)).sakila(0.02)
	s.start()
	s.waitShown(60 * time.Second)
	stop := s.load(1)
	defer stop()
	for range 4 {
		from := s.streamSeq()
		eventually(t, 30*time.Second, "the streams go on", func(context.Context) bool { return s.streamSeq() > from+10 })
		if code := s.stop(); code != 0 {
			t.Errorf("exit status %d after SIGTERM, want 0", code)
		}
		s.start()
		s.ready()
	}
	stop()
	s.waitShown(60 * time.Second)
	for _, name := range []string{rawStream, viewStream} {
		if n := s.begins(name); n != 1 {
			t.Errorf("%s: %d covers were begun, want that of the first load", name, n)
		}
	}
	for _, word := range []string{"the log was cut", "cannot go on where it stood"} {
		if strings.Contains(s.log(), word) {
			t.Errorf("the log says %q", word)
		}
	}
	s.digests()
	s.verify()
}
