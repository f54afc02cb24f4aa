package joiner

import (
	"fmt"

	"github.com/etlsandbox/cdc/schemas/change"
)

// fit brings a row of an event to the shape that the views were compiled against and blanks the columns
// that no view reads, in place where the shapes agree.
func (t *table) fit(shape *change.Table, row change.Row) (change.Row, error) {
	if row == nil {
		return nil, nil
	}
	if shape != t.shape {
		from, err := t.remap(shape)
		if err != nil {
			return nil, err
		}
		if from != nil {
			n := make(change.Row, len(t.shape.Columns))
			for c, f := range from {
				n[c] = change.AbsentValue()
				if f >= 0 {
					n[c] = row[f]
				}
			}
			return n, nil
		}
	}
	if len(row) != len(t.shape.Columns) {
		return nil, fmt.Errorf("row has %d values, the table %d columns: %w", len(row), len(t.shape.Columns), ErrShape)
	}
	for _, c := range t.dropped {
		row[c] = change.AbsentValue()
	}
	return row, nil
}

// maxRemaps bounds how many shapes of a table are remembered.
const maxRemaps = 64

// remap says where the columns of t.shape are in another shape of the table: -1 of columns that are not
// kept, nil when the shapes are the same.
func (t *table) remap(shape *change.Table) ([]int, error) {
	if from, ok := t.remaps[shape]; ok {
		return from, nil
	}
	if len(t.remaps) > maxRemaps {
		clear(t.remaps) // whoever reads the stream may make the shapes anew again and again
	}
	if t.shape.SameShape(shape) {
		t.remaps[shape] = nil
		return nil, nil
	}
	from := make([]int, len(t.shape.Columns))
	for c := range from {
		from[c] = -1
		if !t.keep[c] {
			continue
		}
		col := t.shape.Columns[c]
		i := shape.Column(col.Name)
		if i < 0 || !shape.Columns[i].Type.Equal(col.Type) {
			return nil, fmt.Errorf("column %s of version %d: %w", col.Name, shape.Version, ErrShape)
		}
		from[c] = i
	}
	for i, c := range t.shape.Key {
		if len(shape.Key) != len(t.shape.Key) || from[c] != shape.Key[i] {
			return nil, fmt.Errorf("primary key of version %d: %w", shape.Version, ErrShape)
		}
	}
	t.remaps[shape] = from
	return from, nil
}

// sameKept reports whether two images agree in every kept column and both carry them.
func (t *table) sameKept(before, after change.Row) bool {
	for _, c := range t.kept {
		if before[c] != after[c] || after[c].IsAbsent() {
			return false
		}
	}
	return true
}
