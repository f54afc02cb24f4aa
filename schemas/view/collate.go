package view

import (
	_ "embed" // the tables of weights and letter cases
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// runeMap maps code points of the basic plane; what it does not hold is mapped to itself.
type runeMap struct {
	pages [256]*[256]uint16
	// beyond is what code points above the basic plane map to; 0 is themselves.
	beyond rune
}

func (m *runeMap) at(r rune) rune {
	if r > 0xffff {
		if m.beyond != 0 {
			return m.beyond
		}
		return r
	}
	if p := m.pages[r>>8]; p != nil {
		return rune(p[r&0xff])
	}
	return r
}

// parseRuneMap reads lines "first last step difference" (hexadecimal, decimal); '#' starts a comment line.
func parseRuneMap(text string, beyond rune) *runeMap {
	m := &runeMap{beyond: beyond}
	for line := range strings.Lines(text) {
		if line[0] == '#' {
			continue
		}
		var first, last, step, diff rune
		if _, err := fmt.Sscanf(line, "%x %x %d %d", &first, &last, &step, &diff); err != nil {
			panic("collation table: " + line) // the tables are part of the program
		}
		for r := first; r <= last; r += step {
			if m.pages[r>>8] == nil {
				p := new([256]uint16)
				for i := range p {
					p[i] = uint16(r&^0xff) | uint16(i)
				}
				m.pages[r>>8] = p
			}
			m.pages[r>>8][r&0xff] = uint16(r + diff)
		}
	}
	return m
}

//go:embed collation/general_ci.txt
var generalCIText string

//go:embed collation/swedish_ci.txt
var swedishCIText string

//go:embed collation/latin1_bin.txt
var latin1BinText string

//go:embed collation/upper.txt
var upperText string

//go:embed collation/lower.txt
var lowerText string

//go:embed collation/latin1_upper.txt
var latin1UpperText string

//go:embed collation/latin1_lower.txt
var latin1LowerText string

// tables are built at the first use of a collation; they never change after that.
var (
	generalCI = sync.OnceValue(func() *runeMap { return parseRuneMap(generalCIText, utf8.RuneError) })
	swedishCI = sync.OnceValue(func() *runeMap { return parseRuneMap(swedishCIText, 0) })
	latin1Bin = sync.OnceValue(func() *runeMap { return parseRuneMap(latin1BinText, 0) })
	upperCase = sync.OnceValue(func() *runeMap { return parseRuneMap(upperText, 0) })
	lowerCase = sync.OnceValue(func() *runeMap { return parseRuneMap(lowerText, 0) })
	upperL1   = sync.OnceValue(func() *runeMap { return parseRuneMap(latin1UpperText, 0) })
	lowerL1   = sync.OnceValue(func() *runeMap { return parseRuneMap(latin1LowerText, 0) })
)

// collation is one order of strings that the golden test has proven. Strings are UTF-8 throughout,
// whatever the column's character set.
type collation struct {
	name string
	// id is the Comparison of join keys under this collation.
	id Comparison
	// pad: trailing spaces do not count (PAD SPACE).
	pad bool
	// weights maps a code point to its weight; nil compares code points.
	weights *runeMap
	// uca gives a code point any number of weights; instead of weights.
	uca *ucaTable
}

// collationOf returns the collation of the given name, or nil if it is not supported.
func collationOf(name string) *collation {
	switch name {
	case "binary":
		return &collation{name: name, id: CompareBinary}
	case "utf8mb4_bin", "utf8mb3_bin", "utf8_bin":
		return &collation{name: name, id: ComparePadded, pad: true}
	case "latin1_bin": // ordered by windows-1252; equal are the same strings as under the other _bin ones
		return &collation{name: name, id: ComparePadded, pad: true, weights: latin1Bin()}
	case "utf8mb4_general_ci", "utf8mb3_general_ci", "utf8_general_ci":
		return &collation{name: name, id: CompareGeneralCI, pad: true, weights: generalCI()}
	case "utf8mb4_unicode_ci", "utf8mb3_unicode_ci", "utf8_unicode_ci":
		return &collation{name: name, id: CompareUnicodeCI, pad: true, uca: unicodeCI()}
	case "latin1_swedish_ci":
		return &collation{name: name, id: CompareSwedishCI, pad: true, weights: swedishCI()}
	}
	return nil
}

// exact reports whether equal strings are identical strings.
func (c *collation) exact() bool { return !c.pad && c.weights == nil }

// compare returns the order of two strings.
func (c *collation) compare(a, b string) int {
	if c.uca != nil {
		return c.uca.compare(a, b)
	}
	if c.weights == nil {
		return c.compareCodes(a, b)
	}
	for len(a) > 0 && len(b) > 0 {
		var x, y rune
		x, a = nextWeight(c.weights, a)
		y, b = nextWeight(c.weights, b)
		if x != y {
			if x < y {
				return -1
			}
			return 1
		}
	}
	return c.compareTails(a, b)
}

func nextWeight(m *runeMap, s string) (rune, string) {
	if s[0] < utf8.RuneSelf {
		return m.at(rune(s[0])), s[1:]
	}
	r, n := utf8.DecodeRuneInString(s)
	return m.at(r), s[n:]
}

// compareCodes compares code points: in UTF-8 the order of code points is the order of bytes.
func (c *collation) compareCodes(a, b string) int {
	n := min(len(a), len(b))
	if r := strings.Compare(a[:n], b[:n]); r != 0 {
		return r
	}
	return c.compareTails(a[n:], b[n:])
}

// compareTails compares what is left when one of the strings has ended: with spaces if the collation pads.
func (c *collation) compareTails(a, b string) int {
	if !c.pad {
		return strings.Compare(a, b)
	}
	sign, tail := 1, a
	if len(a) == 0 {
		sign, tail = -1, b
	}
	for i := range len(tail) {
		if tail[i] != ' ' {
			if tail[i] < ' ' {
				return -sign
			}
			return sign
		}
	}
	return 0
}

// appendWeights appends bytes that are equal for strings that are equal, and only for them.
func (c *collation) appendWeights(b []byte, s string) []byte {
	if c.uca != nil {
		return c.uca.appendWeights(b, s)
	}
	if c.pad {
		s = strings.TrimRight(s, " ")
	}
	if c.weights == nil {
		return append(b, s...)
	}
	for len(s) > 0 {
		var w rune
		w, s = nextWeight(c.weights, s)
		b = append(b, byte(w>>8), byte(w))
	}
	return b
}

// like matches a pattern of LIKE; escape is the escape character, -1 for none. Only the last '%' seen
// is ever tried again, so the work is at most the product of the two lengths.
func (c *collation) like(s, pattern string, escape rune) bool {
	starred, afterStar, starPattern := false, "", ""
	for {
		if pattern == "" && s == "" {
			return true
		}
		if pattern != "" {
			p, n := utf8.DecodeRuneInString(pattern)
			rest, plain := pattern[n:], false
			if p == escape && rest != "" {
				p, n = utf8.DecodeRuneInString(rest)
				rest, plain = rest[n:], true
			}
			if p == '%' && !plain {
				starred, afterStar, starPattern, pattern = true, s, rest, rest
				continue
			}
			if s != "" {
				r, n := utf8.DecodeRuneInString(s)
				if p == '_' && !plain || c.sameRune(r, p) {
					s, pattern = s[n:], rest
					continue
				}
			}
		}
		if !starred || afterStar == "" {
			return false
		}
		_, n := utf8.DecodeRuneInString(afterStar)
		afterStar = afterStar[n:]
		s, pattern = afterStar, starPattern
	}
}

func (c *collation) sameRune(a, b rune) bool {
	if c.uca != nil {
		return a == b || slices.Equal(c.uca.at(a).list(), c.uca.at(b).list())
	}
	return a == b || c.weights != nil && c.weights.at(a) == c.weights.at(b)
}

// caseMaps returns the letter cases of a character set's proven collations.
func caseMaps(collation string) (upper, lower *runeMap) {
	switch collation {
	case "utf8mb4_general_ci", "utf8mb4_bin", "utf8mb3_general_ci", "utf8mb3_bin", "utf8_general_ci", "utf8_bin",
		"utf8mb4_unicode_ci", "utf8mb3_unicode_ci", "utf8_unicode_ci":
		return upperCase(), lowerCase()
	case "latin1_swedish_ci", "latin1_bin":
		return upperL1(), lowerL1()
	}
	return nil, nil
}

func mapCase(m *runeMap, s string) string {
	i := 0
	for i < len(s) {
		r, n := utf8.DecodeRuneInString(s[i:])
		if m.at(r) != r {
			break
		}
		i += n
	}
	if i == len(s) {
		return s
	}
	b := make([]byte, i, len(s)+8)
	copy(b, s)
	for _, r := range s[i:] {
		b = utf8.AppendRune(b, m.at(r))
	}
	return string(b)
}
