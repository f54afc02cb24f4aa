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
}

func (a *arena) entry() *entry {
	if len(a.entries) == 0 {
		a.entries = make([]entry, 256)
	}
	n := &a.entries[0]
	a.entries = a.entries[1:]
	return n
}

// row returns n values, SQL NULL each.
func (a *arena) row(n int) change.Row {
	if len(a.values) < n {
		a.values = make([]change.Value, max(n, 1024))
	}
	r := a.values[:n:n]
	a.values = a.values[n:]
	return change.Row(r)
}

// text returns a string with the content of b.
func (a *arena) text(b []byte) string {
	const chunk = 16 << 10
	if len(b) > chunk/4 {
		return string(b)
	}
	if a.buf == nil || a.buf.Cap()-a.buf.Len() < len(b) {
		a.buf = &strings.Builder{}
		a.buf.Grow(chunk)
	}
	n := a.buf.Len()
	a.buf.Write(b)
	return a.buf.String()[n:]
}
