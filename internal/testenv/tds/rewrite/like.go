package rewrite

import (
	"fmt"
	"strings"

	"github.com/etlsandbox/cdc/internal/testenv/tds/tsql"
)

// like translates LIKE with a literal pattern to a regular expression.
func (b *binder) like(x *tsql.Like) (string, error) {
	e, err := b.value(x.X)
	if err != nil {
		return "", err
	}
	pattern, ok := x.Pattern.(*tsql.String)
	if !ok {
		return "", refuse("LIKE with a pattern that is no literal")
	}
	if !e.typ.IsText() {
		return "", refuse("LIKE on %s", e.typ)
	}
	escape := ""
	if x.Escape != nil {
		s, ok := x.Escape.(*tsql.String)
		if !ok || units(s.Text) != 1 {
			return "", refuse("ESCAPE that is no literal of one character")
		}
		escape = s.Text
	}
	r, err := regular(pattern.Text, escape)
	if err != nil {
		return "", err
	}
	op := "~"
	if !e.typ.Collation.Binary() {
		op = "~*"
	}
	return negate(x.Not, fmt.Sprintf(`((%s) COLLATE "und-x-icu" %s %s)`, e.sql, op, Literal(r))), nil
}

// regular writes a LIKE pattern as a regular expression of PostgreSQL.
func regular(pattern, escape string) (string, error) {
	var out strings.Builder
	out.WriteString("(?s)^")
	runes := []rune(pattern)
	for i := 0; i < len(runes); i++ {
		c := string(runes[i])
		switch {
		case c == escape:
			if i++; i == len(runes) {
				return "", refuse("LIKE with an escape at the pattern's end")
			}
			out.WriteString(quoteRune(runes[i]))
		case c == "%":
			out.WriteString(".*")
		case c == "_":
			out.WriteString(".")
		case c == "[":
			end := i + 1
			for end < len(runes) && runes[end] != ']' {
				end++
			}
			set := string(runes[i+1 : min(end, len(runes))])
			// A single character in brackets is that character; ranges and negations are none of the double's.
			if end >= len(runes) || units(set) != 1 || set == escape {
				return "", refuse("LIKE with the set of characters [%s]", set)
			}
			out.WriteString(quoteRune(runes[i+1]))
			i = end
		default:
			out.WriteString(quoteRune(runes[i]))
		}
	}
	out.WriteString("$")
	return out.String(), nil
}

func quoteRune(r rune) string {
	if strings.ContainsRune(`.^$*+?()[]{}|\/-`, r) {
		return `\` + string(r)
	}
	return string(r)
}
