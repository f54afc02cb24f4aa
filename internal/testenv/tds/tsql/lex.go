// Package tsql parses the part of T-SQL that the SQL Server double implements. What it does not know it refuses with
// an error that names the token: nothing is skipped, guessed or taken for something similar.
package tsql

import (
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// tokenKind is the class of a token.
type tokenKind uint8

const (
	endToken tokenKind = iota
	wordToken
	quotedToken // [name] or "name"
	stringToken
	hexToken
	numberToken
	variableToken // @x, @@x
	symbolToken
)

// token is a piece of a T-SQL text.
type token struct {
	kind tokenKind
	// text is the piece as written; of strings and quoted names what they stand for.
	text string
	// national says that a string was written N'…'.
	national bool
	// line counts from 1; at and end are offsets into the text.
	line, at, end int
}

// Error says why a text was refused.
type Error struct {
	Line int
	Near string
	Text string
}

func (e *Error) Error() string {
	return fmt.Sprintf("the double does not implement this T-SQL: line %d near %q: %s", e.Line, e.Near, e.Text)
}

// lexer cuts a text into tokens.
type lexer struct {
	text string
	at   int
	line int
}

// lex cuts a text into tokens; the last one is an endToken.
func lex(text string) ([]token, error) {
	if !utf8.ValidString(text) {
		return nil, &Error{Line: 1, Text: "the text is not valid Unicode"}
	}
	l := &lexer{text: text, line: 1}
	var out []token
	for {
		if err := l.space(); err != nil {
			return nil, err
		}
		t, err := l.next()
		if err != nil {
			return nil, err
		}
		t.end = l.at
		out = append(out, t)
		if t.kind == endToken {
			return out, nil
		}
	}
}

func (l *lexer) rest() string { return l.text[l.at:] }

func (l *lexer) fail(near, format string, args ...any) error {
	return &Error{Line: l.line, Near: near, Text: fmt.Sprintf(format, args...)}
}

// space passes over white space and comments.
func (l *lexer) space() error {
	for {
		rest := l.rest()
		switch {
		case strings.HasPrefix(rest, "--"):
			n := strings.IndexByte(rest, '\n')
			if n < 0 {
				n = len(rest)
			}
			l.at += n
		case strings.HasPrefix(rest, "/*"):
			if err := l.comment(); err != nil {
				return err
			}
		default:
			r, n := utf8.DecodeRuneInString(rest)
			if n == 0 || !unicode.IsSpace(r) {
				return nil
			}
			if r == '\n' {
				l.line++
			}
			l.at += n
		}
	}
}

// comment passes over /* … */, which nests.
func (l *lexer) comment() error {
	depth := 0
	for l.at < len(l.text) {
		switch {
		case strings.HasPrefix(l.rest(), "/*"):
			depth++
			l.at += 2
		case strings.HasPrefix(l.rest(), "*/"):
			l.at += 2
			if depth--; depth == 0 {
				return nil
			}
		default:
			if l.text[l.at] == '\n' {
				l.line++
			}
			l.at++
		}
	}
	return l.fail("/*", "the comment does not end")
}

func (l *lexer) next() (token, error) {
	rest := l.rest()
	t := token{line: l.line, at: l.at}
	if rest == "" {
		return t, nil
	}
	c := rest[0]
	switch {
	case c == '\'':
		return l.quoted(t, stringToken, '\'')
	case (c == 'N' || c == 'n') && strings.HasPrefix(rest[1:], "'"):
		l.at++
		t.national = true
		return l.quoted(t, stringToken, '\'')
	case c == '[':
		return l.quoted(t, quotedToken, ']')
	case c == '"':
		return l.quoted(t, quotedToken, '"')
	case strings.HasPrefix(rest, "0x") || strings.HasPrefix(rest, "0X"):
		return l.hex(t)
	case c >= '0' && c <= '9', c == '.' && len(rest) > 1 && rest[1] >= '0' && rest[1] <= '9':
		return l.number(t)
	case c == '@':
		t.kind, t.text = variableToken, l.word(1)
		if strings.Trim(t.text, "@") == "" {
			return t, l.fail("@", "a variable needs a name")
		}
		return t, nil
	case c == '#' || c == '_' || startsWithLetter(rest):
		t.kind, t.text = wordToken, l.word(0)
		return t, nil
	}
	return l.symbol(t)
}

func startsWithLetter(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return unicode.IsLetter(r)
}

// word reads the letters of a name, the first skip bytes unseen.
func (l *lexer) word(skip int) string {
	start := l.at
	l.at += skip
	for i, r := range l.rest() {
		if r != '_' && r != '@' && r != '#' && r != '$' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			l.at += i
			return l.text[start:l.at]
		}
	}
	l.at = len(l.text)
	return l.text[start:]
}

func (l *lexer) quoted(t token, kind tokenKind, end byte) (token, error) {
	var b strings.Builder
	open := l.text[l.at]
	for l.at++; l.at < len(l.text); l.at++ {
		c := l.text[l.at]
		if c == '\n' {
			l.line++
		}
		if c == end {
			if !strings.HasPrefix(l.text[l.at+1:], string(end)) {
				l.at++
				t.kind, t.text = kind, b.String()
				if kind == quotedToken && t.text == "" {
					return t, l.fail("[]", "a name must not be empty")
				}
				return t, nil
			}
			l.at++
		}
		b.WriteByte(c)
	}
	return t, l.fail(string(open), "the quotation does not end")
}

func (l *lexer) hex(t token) (token, error) {
	end := l.at + 2
	for end < len(l.text) && strings.IndexByte("0123456789abcdefABCDEF", l.text[end]) >= 0 {
		end++
	}
	digits := l.text[l.at+2 : end]
	if len(digits)%2 != 0 {
		digits = "0" + digits
	}
	if _, err := hex.DecodeString(digits); err != nil {
		return t, l.fail(l.text[l.at:end], "not hexadecimal")
	}
	l.at = end
	t.kind, t.text = hexToken, strings.ToLower(digits)
	return t, nil
}

func (l *lexer) number(t token) (token, error) {
	end := l.at
	digits := func() {
		for end < len(l.text) && l.text[end] >= '0' && l.text[end] <= '9' {
			end++
		}
	}
	digits()
	if end < len(l.text) && l.text[end] == '.' {
		end++
		digits()
	}
	if end < len(l.text) && (l.text[end] == 'e' || l.text[end] == 'E') {
		end++
		if end < len(l.text) && (l.text[end] == '+' || l.text[end] == '-') {
			end++
		}
		digits()
	}
	if r, _ := utf8.DecodeRuneInString(l.text[end:]); r == '_' || unicode.IsLetter(r) {
		return t, l.fail(l.text[l.at:end]+string(r), "a number runs into a name")
	}
	t.kind, t.text = numberToken, l.text[l.at:end]
	l.at = end
	return t, nil
}

// symbols in an order in which the longer come first.
var symbols = []string{"<>", "!=", "<=", ">=", "!<", "!>", "+=", "-=", "*=", "/=", "::", "(", ")", ",", ";", ".", "=", "<", ">", "+", "-", "*", "/", "%", "&", "|", "^", "~", ":"}

func (l *lexer) symbol(t token) (token, error) {
	for _, s := range symbols {
		if strings.HasPrefix(l.rest(), s) {
			l.at += len(s)
			t.kind, t.text = symbolToken, s
			return t, nil
		}
	}
	r, _ := utf8.DecodeRuneInString(l.rest())
	return t, l.fail(string(r), "the character has no meaning here")
}
