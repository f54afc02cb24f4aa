package ddl

import "strings"

// leading returns the first words of a statement in lower case, comments passed over. What stands in
// MySQL's and MariaDB's executable comments counts.
func leading(sql string, n int) []string {
	l := lexer{s: sql}
	var words []string
	for len(words) < n {
		w, ok := l.next()
		if !ok {
			break
		}
		words = append(words, strings.ToLower(w))
	}
	return words
}

// Mentions reports whether a statement contains the identifier, quoted or not, in any case. It is for
// statements that cannot be read otherwise, and errs on the side of yes.
func Mentions(sql, identifier string) bool {
	l := lexer{s: sql}
	for {
		w, ok := l.next()
		if !ok {
			return false
		}
		if strings.EqualFold(w, identifier) {
			return true
		}
	}
}

// lexer splits a statement into words: identifiers (quotes removed), numbers and the content of
// strings. Punctuation is left out.
type lexer struct {
	s string
	i int
}

func (l *lexer) next() (string, bool) {
	for l.i < len(l.s) {
		switch c := l.s[l.i]; {
		case c == '/' && strings.HasPrefix(l.s[l.i:], "/*"):
			l.comment()
		case c == '#', c == '-' && strings.HasPrefix(l.s[l.i:], "-- "), c == '-' && strings.HasPrefix(l.s[l.i:], "--\n"):
			l.line()
		case c == '`' || c == '"' || c == '\'':
			return l.quoted(c), true
		case word(c):
			from := l.i
			for l.i < len(l.s) && word(l.s[l.i]) {
				l.i++
			}
			return l.s[from:l.i], true
		default:
			l.i++
		}
	}
	return "", false
}

// comment passes over /* … */, but only over the head of /*!50100 … */ and /*M!100301 … */.
func (l *lexer) comment() {
	rest := l.s[l.i+2:]
	if strings.HasPrefix(rest, "!") || strings.HasPrefix(rest, "M!") {
		l.i += 2 + strings.IndexByte(rest, '!') + 1
		for l.i < len(l.s) && l.s[l.i] >= '0' && l.s[l.i] <= '9' {
			l.i++
		}
		return
	}
	end := strings.Index(rest, "*/")
	if end < 0 {
		l.i = len(l.s)
		return
	}
	l.i += 2 + end + 2
}

func (l *lexer) line() {
	end := strings.IndexByte(l.s[l.i:], '\n')
	if end < 0 {
		l.i = len(l.s)
		return
	}
	l.i += end + 1
}

func (l *lexer) quoted(quote byte) string {
	var b strings.Builder
	for l.i++; l.i < len(l.s); l.i++ {
		c := l.s[l.i]
		if c == quote {
			if l.i+1 >= len(l.s) || l.s[l.i+1] != quote {
				l.i++
				break
			}
			l.i++
		} else if c == '\\' && quote != '`' && l.i+1 < len(l.s) {
			l.i++
			c = l.s[l.i]
		}
		b.WriteByte(c)
	}
	return b.String()
}

func word(c byte) bool {
	return c == '_' || c == '$' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}
