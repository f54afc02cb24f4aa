package joiner

import (
	"errors"
	"testing"

	"github.com/etlsandbox/cdc/schemas/change"
)

// FuzzSide: whatever the scratch store gives back is an error, or a row of the width asked for.
func FuzzSide(f *testing.F) {
	row := change.Row{change.IntValue(-1), change.StringValue("a\x00"), change.NullValue()}
	f.Add(appendSide(nil, &side{row: row}), 3)
	f.Add(appendSide(nil, &side{row: row, problem: errors.New("division by zero")}), 3)
	f.Add([]byte{}, 0)
	f.Fuzz(func(t *testing.T, raw []byte, width int) {
		if width < 0 || width > 100 {
			return
		}
		s, err := decodeSide(raw, width)
		if err != nil {
			return
		}
		if len(s.row) != width || !s.set {
			t.Fatalf("read %+v, want %d values", s, width)
		}
		again, err := decodeSide(appendSide(nil, &s), width)
		if err != nil || !again.row.Equal(s.row) || (again.problem == nil) != (s.problem == nil) {
			t.Errorf("%+v is written and read as %+v, %v", s, again, err)
		}
	})
}
