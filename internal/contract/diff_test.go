package contract

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestDiff(t *testing.T) {
	set := func(texts map[string]string) *Set {
		t.Helper()
		files := fstest.MapFS{}
		for name, text := range texts {
			files[name] = &fstest.MapFile{Data: []byte(text)}
		}
		s, err := Load(files)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	one := func(stream, action string) string {
		return `{"version": 1, "stream": "` + stream + `", "action": "` + action + `", "schema": {}}`
	}
	old := set(map[string]string{"a.json": one("a", "warn"), "b.json": one("b", "warn"), "c.json": one("c", "warn")})
	next := set(map[string]string{"moved.json": one("a", "warn"), "b.json": one("b", "stop"), "d.json": one("d", "warn")})
	if diff := cmp.Diff([]Change{{"b", "changed"}, {"c", "removed"}, {"d", "new"}}, old.Diff(next)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := next.Diff(next); got != nil {
		t.Errorf("of itself: %v", got)
	}
	if diff := cmp.Diff([]Change{{"a", "new"}, {"b", "new"}, {"d", "new"}}, (*Set)(nil).Diff(next)); diff != "" {
		t.Errorf("of none (-want +got):\n%s", diff)
	}
}
