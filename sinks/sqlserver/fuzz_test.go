package sqlserver

import "testing"

// FuzzOwner: a mark of ours names a stream and a table, and anything else nobody.
func FuzzOwner(f *testing.F) {
	f.Add("jupiter-views", "CustomerOrderFlat")
	f.Add("s", "a from=b\nc v=1")
	f.Fuzz(func(t *testing.T, stream, from string) {
		parseOwner(stream)
		if s, _ := parseOwner(ownerOf(stream, from)); s != "" && len(s) > len(stream) && len(stream) > 0 {
			t.Errorf("stream %q is read as %q", stream, s)
		}
	})
}
