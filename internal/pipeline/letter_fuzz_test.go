package pipeline

import (
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzLetter: whatever stands in a topic of dead letters is an error, or a letter that is written and read as it is.
func FuzzLetter(f *testing.F) {
	f.Add([]byte(`{"v":1,"sink":"mars","stream":"s","table":"d.t","key":"[1]","seq":7,"reason":"no","class":"insert","at":"2026-01-02T03:04:05Z","row":[{"column":"id","value":"1"},{"column":"n","value":null}]}`))
	f.Add([]byte(`{"v":2}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := ParseLetter(b)
		if err != nil {
			return
		}
		text, err := json.Marshal(l)
		if err != nil {
			return // a year that has more than four digits
		}
		again, err := ParseLetter(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if twice, err := json.Marshal(again); err != nil || !bytes.Equal(twice, text) {
			t.Errorf("%s is read and written as %s (error %v)", text, twice, err)
		}
	})
}
