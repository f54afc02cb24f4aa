package joiner

import (
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
)

// arena allocates what lives as long as a batch in large pieces.
type arena struct {
	entries []entry
	values  []change.Value
	buf     *strings.Builder
	pieces  int // made so far: the first ones are small, for small batches
}

// grow returns the size of the next piece: from small, growing with the number of pieces, to large.
func (a *arena) grow(small, large int) int {
	a.pieces++
	return min(small<<min(a.pieces/2, 16), large)
}

func (a *arena) entry() *entry {
	if len(a.entries) == 0 {
		a.entries = make([]entry, a.grow(4, 256))
	}
	n := &a.entries[0]
	a.entries = a.entries[1:]
	return n
}

// row returns n values, SQL NULL each.
func (a *arena) row(n int) change.Row {
	if len(a.values) < n {
		a.values = make([]change.Value, max(n, a.grow(16, 1024)))
	}
	r := a.values[:n:n]
	a.values = a.values[n:]
	return change.Row(r)
}

// text returns a string with the content of b.
func (a *arena) text(b []byte) string {
	const largest = 16 << 10
	if len(b) > largest/4 {
		return string(b)
	}
	if a.buf == nil || a.buf.Cap()-a.buf.Len() < len(b) {
		a.buf = &strings.Builder{}
		a.buf.Grow(max(len(b), a.grow(256, largest)))
	}
	n := a.buf.Len()
	a.buf.Write(b)
	return a.buf.String()[n:]
}
