package sinks

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Names says how a sink spells the names that it takes from the source. Spelling a name twice changes nothing
// more, so a name that is spelt already may be given again.
type Names uint8

// The ways to spell names.
const (
	KeepNames Names = iota // as the source has them
	SnakeCase              // CustomerName becomes customer_name
	LowerCase              // CustomerName becomes customername
)

// Spell returns a name of the source as the destination has it.
func (n Names) Spell(name string) string {
	switch n {
	case SnakeCase:
		return snakeCase(name)
	case LowerCase:
		return strings.Map(unicode.ToLower, name)
	case KeepNames:
	}
	return name
}

// snakeCase puts _ before a capital that begins a word and lowers all letters. A capital begins a word behind a
// letter that is none or behind a digit, and as the last of a run of capitals when a small letter follows it:
// HTTPServer2Name is http_server2_name. What is neither letter, digit nor _ becomes one _, none at either end.
func snakeCase(name string) string {
	runes := []rune(name)
	var out []rune
	gap := false // something that no name keeps lies between out and the next character
	for i, r := range runes {
		if r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) {
			gap = true
			continue
		}
		word := isCapital(r) && i > 0 &&
			(unicode.IsLetter(runes[i-1]) && !isCapital(runes[i-1]) || unicode.IsDigit(runes[i-1]) || unicode.IsMark(runes[i-1]) ||
				isCapital(runes[i-1]) && i+1 < len(runes) && unicode.IsLower(runes[i+1]))
		if (gap || word) && len(out) > 0 && r != '_' && out[len(out)-1] != '_' {
			out = append(out, '_')
		}
		out, gap = append(out, unicode.ToLower(r)), false
	}
	if len(out) == 0 {
		return name // nothing but signs: there is no other way to write it
	}
	return string(out)
}

// isCapital reports whether a letter has a small form.
func isCapital(r rune) bool { return unicode.ToLower(r) != r }

// Table returns a shape with its columns spelt. It fails when two of them become one.
func (n Names) Table(t *change.Table) (*change.Table, error) {
	if n == KeepNames {
		return t, nil
	}
	spelt := *t
	spelt.Columns = slices.Clone(t.Columns)
	from := make(map[string]string, len(t.Columns))
	for i, c := range t.Columns {
		name := n.Spell(c.Name)
		if other, taken := from[strings.ToLower(name)]; taken {
			return nil, &StopError{
				What: fmt.Sprintf("columns %s and %s of %s are both spelt %s at this sink", other, c.Name, t.ID, name),
				Hint: "set names: keep for the sink, or give one of them another name in a view (SELECT … AS …)",
			}
		}
		from[strings.ToLower(name)], spelt.Columns[i].Name = c.Name, name
	}
	return &spelt, nil
}

// delivers reports whether a column of exactly this name is delivered.
func (t Target) delivers(name string) bool {
	return slices.ContainsFunc(t.Table.Columns, func(c change.Column) bool { return c.Name == name })
}

// CheckSpelling refuses a table with rows that has a column under another spelling than it is delivered now: they
// would be left without a value of it, because nothing at the source has changed. have are the table's columns; fold
// says that the destination does not tell names apart by case.
func (t Target) CheckSpelling(have []string, fold bool) error {
	bare := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, "_", "")) }
	for _, c := range t.Table.Columns {
		there := func(name string) bool { return name == c.Name || fold && strings.EqualFold(name, c.Name) }
		if slices.ContainsFunc(have, there) {
			continue
		}
		i := slices.IndexFunc(have, func(name string) bool { return bare(name) == bare(c.Name) && !t.delivers(name) })
		if i < 0 {
			continue
		}
		return &StopError{
			What: fmt.Sprintf("table %s has a column %s, and %s is delivered with it as %s", t.To, have[i], t.From, c.Name),
			Hint: "set names back to what it was, rename the column in the table, or deliver to another table",
		}
	}
	return nil
}
