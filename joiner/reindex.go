package joiner

import (
	"fmt"

	"github.com/etlsandbox/cdc/schemas/change"
)

// BuildIndex enters stored rows into an index that the state does not have yet: at most n rows (0: all),
// from a row key on (nil: the first). It returns the key to go on from, nil when the index is complete.
// The table must hold the columns of the index; it must not be used in a batch before the end.
func (e *Engine) BuildIndex(s State, number int, from []byte, n int, w Writer) (next []byte, err error) {
	if number < 0 || number >= len(e.indexes) {
		return nil, fmt.Errorf("build index %d: there are %d", number, len(e.indexes))
	}
	x := e.indexes[number]
	var failed error
	var join []byte
	done := 0
	err = s.Rows(x.table.slot, from, nil, func(key []byte, row change.Row) bool {
		if n > 0 && done == n {
			next = append([]byte{}, key...)
			return false
		}
		done++
		var ok bool
		if join, ok = x.appendEntry(join[:0], row); ok {
			failed = w.SetIndex(x.slot, join, key, true)
		}
		return failed == nil
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, fmt.Errorf("build index %s of %s: %w", x.name, x.table.shape.ID, err)
	}
	return next, nil
}
