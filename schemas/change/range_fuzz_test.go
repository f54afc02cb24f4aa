package change

import (
	"encoding/json"
	"testing"
)

// FuzzKeyRange: whatever stands in a record is an error, or a range that is written and read as it is.
func FuzzKeyRange(f *testing.F) {
	for _, r := range []KeyRange{{}, {HasLo: true}, {HasHi: true, Hi: "\x00\xff"}, {HasLo: true, Lo: "a", HasHi: true, Hi: "b"}} {
		b, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"lo":"?"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r, again KeyRange
		if err := json.Unmarshal(b, &r); err != nil {
			return
		}
		text, err := json.Marshal(r)
		if err == nil {
			err = json.Unmarshal(text, &again)
		}
		if err != nil || again != r {
			t.Errorf("%s is read again as %+v (error %v), want %+v", b, again, err, r)
		}
	})
}
