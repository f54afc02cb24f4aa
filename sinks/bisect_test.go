package sinks_test

import (
	"errors"
	"fmt"
	"math/bits"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/etlsandbox/cdc/sinks"
)

// Every refused element is found, in order, with its own reason, within the promised number of tries.
func TestBisect(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 2000).Draw(t, "n")
		bad := map[int]bool{}
		for _, at := range rapid.SliceOfN(rapid.IntRange(0, max(n-1, 0)), 0, min(n, 12)).Draw(t, "bad") {
			bad[at] = true
		}
		tries := 0
		found, err := sinks.Bisect(n, func(first, last int) (refusal, err error) {
			tries++
			for i := first; i <= last; i++ {
				if bad[i] {
					return fmt.Errorf("element %d", i), nil
				}
			}
			return nil, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		previous := -1
		for _, f := range found {
			if !bad[f.At] || f.At <= previous || f.Err.Error() != fmt.Sprintf("element %d", f.At) {
				t.Errorf("found %d (%v) after %d; refused are %v", f.At, f.Err, previous, bad)
			}
			previous = f.At
		}
		if len(found) != len(bad) {
			t.Errorf("found %d of %d", len(found), len(bad))
		}
		depth := bits.Len(uint(max(n-1, 0))) // ⌈log₂ n⌉
		if most := 1 + 2*len(bad)*depth; tries > most {
			t.Errorf("%d refused of %d took %d tries, want at most %d", len(bad), n, tries, most)
		}
	})
}

// Of two elements that exclude each other the second is refused, because what was taken stays.
func TestBisectKeepsWhatWasTaken(t *testing.T) {
	taken := map[int]bool{}
	exclusive := errors.New("3 and 6 exclude each other")
	found, err := sinks.Bisect(8, func(first, last int) (refusal, err error) {
		in := func(i int) bool { return taken[i] || first <= i && i <= last }
		if in(3) && in(6) {
			return exclusive, nil
		}
		for i := first; i <= last; i++ {
			taken[i] = true
		}
		return nil, nil
	})
	if err != nil || len(found) != 1 || found[0].At != 6 || !errors.Is(found[0].Err, exclusive) {
		t.Errorf("found %v, %v, want 6", found, err)
	}
}

// A failure that is about no element ends the search at once.
func TestBisectStopsAtAnError(t *testing.T) {
	lost := errors.New("connection lost")
	var tried [][2]int
	found, err := sinks.Bisect(8, func(first, last int) (refusal, err error) {
		tried = append(tried, [2]int{first, last})
		if last < 7 {
			return nil, lost
		}
		return errors.New("refused"), nil
	})
	if !errors.Is(err, lost) || found != nil {
		t.Errorf("found %v, %v, want the error", found, err)
	}
	if diff := cmp.Diff([][2]int{{0, 7}, {0, 3}}, tried); diff != "" {
		t.Errorf("tries (-want +got):\n%s", diff)
	}
}
