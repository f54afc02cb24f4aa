package joiner

import (
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/view"
)

// appendLookup appends the bytes under which rows matching the given row's columns are found. ok is
// false when one of the values is NULL, which equals nothing.
func (x *index) appendLookup(b []byte, row change.Row, from []int) (key []byte, ok bool) {
	for i, c := range from {
		v := row[c]
		if x.slot < 0 {
			if v.IsNull() || v.IsAbsent() {
				return b, false
			}
			b = change.AppendKey(b, v)
			continue
		}
		if b, ok = view.AppendJoinKey(b, v, x.as[i]); !ok {
			return b, false
		}
	}
	return b, true
}

// appendEntry appends the join key of one of the index's own rows; ok is false when it has none.
func (x *index) appendEntry(b []byte, row change.Row) (key []byte, ok bool) {
	if row == nil {
		return b, false
	}
	return x.appendLookup(b, row, x.columns)
}

// prefixEnd returns the least key above all keys that begin with p; nil when there is none.
func prefixEnd(b, p []byte) []byte {
	b = append(b[:0], p...)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i]++; b[i] != 0 {
			return b[:i+1]
		}
	}
	return nil
}
