package telemetry

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type hintedError struct{ hint string }

func (e hintedError) Error() string { return "broken" }
func (e hintedError) Hint() string  { return e.hint }

func TestLogger(t *testing.T) {
	var level slog.LevelVar
	var out strings.Builder
	log := NewLogger(&out, FormatAuto, false, &level)
	log.Debug("not written")
	level.Set(slog.LevelDebug)
	log.With(KeyStage, "capture").Debug("written", KeyErr, fmt.Errorf("read: %w", errors.Join(errors.New("x"), hintedError{"do this"})))
	var rec map[string]any
	if err := json.Unmarshal([]byte(out.String()), &rec); err != nil {
		t.Fatalf("%v: want one JSON record, got %q", err, out.String())
	}
	for key, want := range map[string]string{"msg": "written", "stage": "capture", "level": "DEBUG", "err": "read: x\nbroken", "hint": "do this"} {
		if rec[key] != want {
			t.Errorf("%s is %q, want %q", key, rec[key], want)
		}
	}
	out.Reset()
	NewLogger(&out, FormatAuto, true, &level).Error("text", KeyErr, hintedError{"other"}, KeyHint, "mine")
	if got := out.String(); !strings.Contains(got, "level=ERROR msg=text err=broken hint=mine\n") {
		t.Errorf("on a terminal: %q", got)
	}
}

func TestParseLevel(t *testing.T) {
	if l, err := ParseLevel("warn"); err != nil || l != slog.LevelWarn {
		t.Errorf("warn: %v, %v", l, err)
	}
	if _, err := ParseLevel("loud"); err == nil {
		t.Error("loud is a level")
	}
}

func TestMetrics(t *testing.T) {
	m := NewMetrics(Build{Version: "1.2.3", Commit: "abc"})
	m.Source.Rows.WithLabelValues("sakila.film", "c").Add(3)
	m.Sink.CommitToVisible.WithLabelValues("neptune").Observe(0.25)
	NewMetrics(Build{}) // a second one does not collide: nothing is global
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`cdc_build_info{commit="abc",goversion="go`,
		`cdc_source_rows_total{op="c",table="sakila.film"} 3`,
		`cdc_commit_to_visible_seconds_bucket{sink="neptune",le="0.256"} 1`,
		"process_open_fds ", "go_goroutines ",
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
}

// Names follow Prometheus's rules: counters end in _total, others do not, each has a help text.
func TestNames(t *testing.T) {
	for _, d := range NewMetrics(Build{}).Descriptions() {
		if (d.Kind == "counter") != strings.HasSuffix(d.Name, "_total") || !strings.HasPrefix(d.Name, "cdc_") || d.Help == "" {
			t.Errorf("%+v breaks the rules", d)
		}
	}
}
