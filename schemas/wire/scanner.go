package wire

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner reads JSON from a string without building a tree; texts without escapes are substrings.
// It accepts what encoding/json accepts; what it skips is checked only as far as needed to find its end.
type scanner struct {
	s string
	i int
}

// maxDepth of skipped values: hostile input must not exhaust the stack.
const maxDepth = 64

var errEnd = errors.New("the JSON text ends too early")

func (s *scanner) space() {
	for s.i < len(s.s) {
		switch s.s[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

func (s *scanner) unexpected(want string) error {
	if s.i >= len(s.s) {
		return errEnd
	}
	return fmt.Errorf("byte %d is %q, want %s", s.i, s.s[s.i], want)
}

func (s *scanner) take(c byte) bool {
	s.space()
	if s.i < len(s.s) && s.s[s.i] == c {
		s.i++
		return true
	}
	return false
}

func (s *scanner) word(w string) bool {
	s.space()
	if strings.HasPrefix(s.s[s.i:], w) {
		s.i += len(w)
		return true
	}
	return false
}

func (s *scanner) null() bool { return s.word("null") }

func (s *scanner) end() error {
	if s.space(); s.i < len(s.s) {
		return s.unexpected("the end")
	}
	return nil
}

func (s *scanner) boolean() (bool, error) {
	switch {
	case s.word("true"):
		return true, nil
	case s.word("false"):
		return false, nil
	}
	return false, s.unexpected("true or false")
}

// object calls field with each name, standing before its value, which field must consume.
func (s *scanner) object(field func(name string) error) error {
	if !s.take('{') {
		return s.unexpected("an object")
	}
	if s.take('}') {
		return nil
	}
	for {
		name, err := s.str()
		if err != nil {
			return err
		}
		if !s.take(':') {
			return s.unexpected("a colon")
		}
		if err := field(name); err != nil {
			return err
		}
		if s.take('}') {
			return nil
		}
		if !s.take(',') {
			return s.unexpected("a comma or }")
		}
	}
}

func (s *scanner) number() (string, error) {
	s.space()
	start := s.i
	for s.i < len(s.s) {
		c := s.s[s.i]
		if c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E' {
			s.i++
			continue
		}
		break
	}
	if s.i == start {
		return "", s.unexpected("a number")
	}
	return s.s[start:s.i], nil
}

func (s *scanner) integer() (int64, error) {
	n, err := s.number()
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(n, 10, 64)
}

func (s *scanner) str() (string, error) {
	if !s.take('"') {
		return "", s.unexpected("a string")
	}
	start := s.i
	for s.i < len(s.s) {
		switch c := s.s[s.i]; {
		case c == '"':
			s.i++
			return s.s[start : s.i-1], nil
		case c == '\\':
			return s.escaped(start)
		case c < 0x20:
			return "", s.unexpected("no control character in a string")
		}
		s.i++
	}
	return "", errEnd
}

// escaped goes on with a string that holds escapes.
func (s *scanner) escaped(start int) (string, error) {
	b := []byte(s.s[start:s.i])
	for s.i < len(s.s) {
		c := s.s[s.i]
		s.i++
		switch {
		case c == '"':
			return string(b), nil
		case c < 0x20:
			s.i--
			return "", s.unexpected("no control character in a string")
		case c != '\\':
			b = append(b, c)
			continue
		}
		if s.i >= len(s.s) {
			return "", errEnd
		}
		c = s.s[s.i]
		s.i++
		switch c {
		case '"', '\\', '/':
			b = append(b, c)
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			r, err := s.unicode()
			if err != nil {
				return "", err
			}
			b = utf8.AppendRune(b, r)
		default:
			s.i--
			return "", s.unexpected("an escape")
		}
	}
	return "", errEnd
}

// unicode reads the four digits of \uXXXX, and the second half of a surrogate pair. Half a pair alone is
// an error: no text that we wrote holds one.
func (s *scanner) unicode() (rune, error) {
	r, err := s.hex4()
	if err != nil || !utf16.IsSurrogate(r) {
		return r, err
	}
	if !strings.HasPrefix(s.s[s.i:], `\u`) {
		return 0, s.unexpected("the second half of a surrogate pair")
	}
	s.i += 2
	low, err := s.hex4()
	if err != nil {
		return 0, err
	}
	if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
		return 0, errors.New("a surrogate pair does not fit together")
	}
	return r, nil
}

func (s *scanner) hex4() (rune, error) {
	if s.i+4 > len(s.s) {
		return 0, errEnd
	}
	n, err := strconv.ParseUint(s.s[s.i:s.i+4], 16, 16)
	s.i += 4
	return rune(n), err
}

// skip passes over any value.
func (s *scanner) skip(depth int) error {
	s.space()
	if s.i >= len(s.s) {
		return errEnd
	}
	if depth > maxDepth {
		return errors.New("the JSON text is nested too deeply")
	}
	switch c := s.s[s.i]; c {
	case '"':
		_, err := s.str()
		return err
	case '{':
		return s.object(func(string) error { return s.skip(depth + 1) })
	case '[':
		return s.skipArray(depth)
	case 't', 'f':
		_, err := s.boolean()
		return err
	case 'n':
		if s.null() {
			return nil
		}
		return s.unexpected("null")
	}
	_, err := s.number()
	return err
}

func (s *scanner) skipArray(depth int) error {
	s.i++
	if s.take(']') {
		return nil
	}
	for {
		if err := s.skip(depth + 1); err != nil {
			return err
		}
		if s.take(']') {
			return nil
		}
		if !s.take(',') {
			return s.unexpected("a comma or ]")
		}
	}
}
