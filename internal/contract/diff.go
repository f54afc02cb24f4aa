package contract

import (
	"cmp"
	"slices"
)

// Change is a table or view whose contract differs between two sets.
type Change struct {
	Stream string
	// What is "new", "changed" or "removed".
	What string
}

// Diff says how next differs from s, by the text of the files, sorted by stream.
func (s *Set) Diff(next *Set) []Change {
	var out []Change
	old, now := s.contracts(), next.contracts()
	for stream, c := range now {
		switch before := old[stream]; {
		case before == nil:
			out = append(out, Change{stream, "new"})
		case before.digest != c.digest:
			out = append(out, Change{stream, "changed"})
		}
	}
	for stream := range old {
		if now[stream] == nil {
			out = append(out, Change{stream, "removed"})
		}
	}
	slices.SortFunc(out, func(a, b Change) int { return cmp.Compare(a.Stream, b.Stream) })
	return out
}

func (s *Set) contracts() map[string]*contract {
	if s == nil {
		return nil
	}
	return s.byStream
}
