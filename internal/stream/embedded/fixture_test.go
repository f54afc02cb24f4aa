package embedded_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/etlsandbox/cdc/internal/stream/embedded"
	"github.com/etlsandbox/cdc/schemas/change"
)

// fixtures are folders of the broker as version 1 left them, stopped in order and killed, and the Marks of what
// stands in them. They are never written again: every later build reads them. CDC_WRITE_FIXTURE=1 writes them
// where there are none.
const fixtures = "testdata/v1"

func writeFixtures(t *testing.T) {
	t.Helper()
	dir, marks := crashed(t)
	live := t.TempDir()
	if err := os.CopyFS(live, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := open(t, embedded.Config{Dir: live}).Close(); err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(marks, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]string{"killed": dir, "stopped": live} {
		if err := os.CopyFS(filepath.Join(fixtures, name, "log"), os.DirFS(filepath.Join(from, "log"))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(fixtures, "marks.json"), append(text, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestFixture: a folder of version 1, and the streams in it, are read, and written on.
func TestFixture(t *testing.T) {
	if _, err := os.Stat(fixtures); os.Getenv("CDC_WRITE_FIXTURE") != "" && err != nil {
		writeFixtures(t)
	}
	text, err := os.ReadFile(filepath.Join(fixtures, "marks.json"))
	if err != nil {
		t.Fatal(err)
	}
	var marks [3]change.Mark
	if err := json.Unmarshal(text, &marks); err != nil {
		t.Fatal(err)
	}
	for _, left := range []string{"killed", "stopped"} {
		t.Run(left, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(filepath.Join(fixtures, left))); err != nil {
				t.Fatal(err)
			}
			resume(t, dir, marks[0], marks[2])
		})
	}
}
