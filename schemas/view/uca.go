package view

import (
	_ "embed" // the table of weights
	"fmt"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// weights are the primary weights of one code point; none of one that the order ignores.
type weights struct {
	n byte
	w [8]uint16
}

func (w weights) list() []uint16 { return w.w[:w.n] }

// ucaTable is a collation of the Unicode collation algorithm without contractions: the weights of a string
// are those of its code points one after the other.
type ucaTable struct {
	pages [256]*[256]weights
	space uint16
}

//go:embed collation/unicode_ci.txt
var unicodeCIText string

// unicodeCI is built at the first use of the collation; it never changes after that.
var unicodeCI = sync.OnceValue(func() *ucaTable { return parseUCA(unicodeCIText) })

// parseUCA reads lines "first last mode weights"; '#' starts a comment line.
func parseUCA(text string) *ucaTable {
	t := &ucaTable{}
	for line := range strings.Lines(text) {
		if line[0] == '#' {
			continue
		}
		f := strings.Fields(line)
		var first, last rune
		if _, err := fmt.Sscanf(line, "%x %x", &first, &last); err != nil || len(f) < 3 {
			panic("collation table: " + line) // the table is part of the program
		}
		var w weights
		for _, s := range f[3:] {
			n, err := strconv.ParseUint(s, 16, 16)
			if err != nil {
				panic("collation table: " + line)
			}
			w.w[w.n] = uint16(n)
			w.n++
		}
		for r := first; r <= last; r++ {
			t.page(r)[r&0xff] = w
			if f[2] == "+" {
				w.w[0]++
			}
		}
	}
	t.space = t.at(' ').w[0]
	return t
}

// page returns the page of a code point, made with computed weights at first.
func (t *ucaTable) page(r rune) *[256]weights {
	if t.pages[r>>8] == nil {
		p := new([256]weights)
		for i := range p {
			p[i] = implicitWeights(r&^0xff | rune(i))
		}
		t.pages[r>>8] = p
	}
	return t.pages[r>>8]
}

// implicitWeights are those of a code point that the table does not list.
func implicitWeights(r rune) weights {
	first := uint16(0xFBC0)
	switch {
	case r >= 0x4E00 && r <= 0x9FA5 || r >= 0xFA0E && r <= 0xFA2F:
		first = 0xFB40
	case r >= 0x3400 && r <= 0x4DB5:
		first = 0xFB80
	}
	return weights{2, [8]uint16{first + uint16(r>>15), uint16(r&0x7fff) | 0x8000}}
}

// at returns the weights of a code point. All beyond the basic plane are one.
func (t *ucaTable) at(r rune) weights {
	if r > 0xffff {
		return weights{1, [8]uint16{0xFFFD}}
	}
	if p := t.pages[r>>8]; p != nil {
		return p[r&0xff]
	}
	return implicitWeights(r)
}

// ucaScanner gives the weights of a string one by one.
type ucaScanner struct {
	t    *ucaTable
	s    string
	rest weights
	at   byte
}

// next returns the next weight; false at the end.
func (s *ucaScanner) next() (uint16, bool) {
	for s.at == s.rest.n {
		if s.s == "" {
			return 0, false
		}
		r, n := utf8.DecodeRuneInString(s.s)
		s.s, s.rest, s.at = s.s[n:], s.t.at(r), 0
	}
	s.at++
	return s.rest.w[s.at-1], true
}

// compare compares weight by weight; the shorter string goes on with spaces.
func (t *ucaTable) compare(a, b string) int {
	x, y := ucaScanner{t: t, s: a}, ucaScanner{t: t, s: b}
	for {
		v, more := x.next()
		w, wmore := y.next()
		if !more && !wmore {
			return 0
		}
		if !more {
			v = t.space
		}
		if !wmore {
			w = t.space
		}
		if v != w {
			if v < w {
				return -1
			}
			return 1
		}
	}
}

// appendWeights appends the weights of a string without trailing spaces.
func (t *ucaTable) appendWeights(b []byte, s string) []byte {
	end := len(b)
	for sc := (ucaScanner{t: t, s: s}); ; {
		w, more := sc.next()
		if !more {
			return b[:end]
		}
		b = append(b, byte(w>>8), byte(w))
		if w != t.space {
			end = len(b)
		}
	}
}
