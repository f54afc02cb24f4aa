package datatype

import (
	"strings"
	"unicode/utf8"
)

// Value is a value in the text form that PostgreSQL reads and writes for the storage type: decimal digits, ISO dates,
// \x and hexadecimal digits for bytes.
type Value struct {
	Null bool
	Text string
}

// Of is a value that is not NULL.
func Of(text string) Value { return Value{Text: text} }

// SQL Server's text may hold U+0000, PostgreSQL's may not. It is stored as a code point that no text may hold, so
// that lengths and equality stay as they are.
const (
	nul       = "\x00"
	storedNul = "\uffff"
)

// Store turns text of a client into the form in which PostgreSQL keeps it; false if it cannot be kept.
func Store(s string) (string, bool) {
	if !utf8.ValidString(s) || strings.Contains(s, storedNul) {
		return "", false
	}
	return strings.ReplaceAll(s, nul, storedNul), true
}

// Load is the inverse of Store.
func Load(s string) string { return strings.ReplaceAll(s, storedNul, nul) }
