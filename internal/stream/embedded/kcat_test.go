package embedded_test

import (
	"strings"
	"testing"

	"github.com/etlsandbox/cdc/internal/stream/embedded"
	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
)

// A foreign client lists and reads the topics.
func TestKcat(t *testing.T) {
	kcat := testenv.Kcat(t)
	b := open(t, embedded.Config{})
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	ensure(t, b.Client())
	w := writer(t, b.Client())
	for i := range 4 {
		kind := change.Changes
		if i == 0 {
			kind = change.Begin
		}
		if _, err := batch(t.Context(), w, kind, 1, i*6); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) string {
		t.Helper()
		out, err := kcat(append([]string{"-b", b.Addr()}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("kcat %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	list := run("-L")
	for _, topic := range []string{"s.db.a", "s.db.b", "s.db.c", "s.progress", "s.meta"} {
		if !strings.Contains(list, `topic "`+topic+`"`) {
			t.Errorf("kcat -L does not list %s:\n%s", topic, list)
		}
	}
	rows := run("-C", "-t", "s.db.a", "-e", "-q", "-o", "beginning", "-f", "%k=%s\\n", "-X", "isolation.level=read_committed")
	if n := strings.Count(rows, "="); n != 12 {
		t.Errorf("kcat reads %d rows of 12:\n%s", n, rows)
	}
	if n := strings.Count(run("-C", "-t", "s.progress", "-e", "-q", "-o", "beginning"), `"seq_from"`); n != 4 {
		t.Errorf("kcat reads %d progress records of 4", n)
	}
}
