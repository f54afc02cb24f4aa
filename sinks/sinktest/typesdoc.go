package sinktest

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/schemas/change"
)

// TypeSection is a destination's section of docs/reference/types.md.
type TypeSection struct {
	// Destination is the section's heading.
	Destination string
	// Column is the type of a column that the sink makes for a type of the source.
	Column func(change.Type) (string, error)
	// Limits are those that the destination gives Run, which asserts each of them.
	Limits Limits
}

// Check compares the section in the file at path with the cases that "wide types" sends through the
// destination; with update it writes the section instead.
func (s TypeSection) Check(t *testing.T, path string, update bool) {
	t.Helper()
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first, last := []byte("<!-- "+s.Destination+": written by a test -->\n"), []byte("<!-- end of "+s.Destination+" -->\n")
	before, rest, ok := bytes.Cut(file, first)
	have, after, ended := bytes.Cut(rest, last)
	if !ok || !ended {
		t.Fatalf("%s has no section between %q and %q", path, first, last)
	}
	want := s.render()
	if diff := cmp.Diff(want, string(have)); diff != "" && !update {
		t.Errorf("%s is not what the cases say (run this test with -update; -cases +file):\n%s", path, diff)
	}
	if !update {
		return
	}
	const readable = 0o644
	if err := os.WriteFile(path, bytes.Join([][]byte{before, first, []byte(want), last, after}, nil), readable); err != nil {
		t.Fatal(err)
	}
}

func (s TypeSection) render() string {
	var b strings.Builder
	b.WriteString("\n| source | column | values that come back identical | refused |\n|---|---|---|---|\n")
	for _, c := range typeCases() {
		column, err := s.Column(c.typ)
		if err != nil {
			fmt.Fprintf(&b, "| `%s` | | | the type: %s |\n", source(c.typ), err)
			continue
		}
		var kept, refused []string
		for _, v := range c.values {
			if s.Limits.refusesValue(c.typ, v) {
				refused = append(refused, shown(v))
			} else {
				kept = append(kept, shown(v))
			}
		}
		if s.Limits.refusesType(c.typ, true) {
			refused = append(refused, "as a key column")
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s, NULL | %s |\n", source(c.typ), column, strings.Join(kept, ", "), strings.Join(refused, ", "))
	}
	b.WriteString("\n")
	return b.String()
}

// source is a type as the source declares it.
func source(t change.Type) string {
	switch {
	case t.Name == "decimal":
		return fmt.Sprintf("decimal(%d,%d)", t.Precision, t.Scale)
	case t.Kind == change.Time, t.Kind == change.Datetime, t.Kind == change.Timestamp:
		return fmt.Sprintf("%s(%d)", t.Name, t.Scale)
	case t.Unsigned:
		return t.Name + " unsigned"
	case t.Length > 0 && t.Name != "longblob":
		return fmt.Sprintf("%s(%d)", t.Name, t.Length)
	}
	return t.Name
}

// shown is a value for a cell of the page; long ones are cut.
func shown(v change.Value) string {
	const most = 32
	text := v.String()
	switch v.Kind() {
	case change.Bytes:
		octets := []byte(v.Text())
		text = fmt.Sprintf("0x%x", octets[:min(len(octets), most/2)])
		if len(octets) > most/2 {
			text += "… (" + strconv.Itoa(len(octets)) + " bytes)"
		}
	case change.String, change.JSON:
		runes := []rune(v.Text())
		text = strconv.Quote(string(runes[:min(len(runes), most)]))
		if len(runes) > most {
			text += "… (" + strconv.Itoa(len(v.Text())) + " bytes)"
		}
	default:
		if len(text) > most {
			text = text[:most] + "… (" + strconv.Itoa(len(text)) + " characters)"
		}
	}
	return "`` " + strings.ReplaceAll(text, "|", `\|`) + " ``"
}
