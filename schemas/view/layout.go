package view

import (
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/pingcap/tidb/pkg/parser/ast"
)

// token is a piece of SQL text: the compiler reads them only to find places, never to understand.
type token struct {
	at, end int
	kind    byte // 'w' word, 'q' quoted identifier, 's' string, 'n' number, else the character
	text    string
}

func (t token) is(word string) bool { return t.kind == 'w' && strings.EqualFold(t.text, word) }

// tokens splits SQL text; comments and white space are left out. It never fails: what is not closed
// reaches to the end.
func tokens(s string) []token {
	var out []token
	for i := 0; i < len(s); {
		j, kind := scanToken(s, i)
		if kind != 0 {
			out = append(out, token{i, j, kind, s[i:j]})
		}
		i = j
	}
	return out
}

// scanToken returns the end of the piece at i and its kind, 0 for comments and white space.
func scanToken(s string, i int) (end int, kind byte) {
	c := s[i]
	switch {
	case c <= ' ':
		return i + 1, 0
	case c == '#', strings.HasPrefix(s[i:], "-- "), strings.HasPrefix(s[i:], "--\n"), strings.HasPrefix(s[i:], "--\t"):
		return i + lineEnd(s[i:]), 0
	case strings.HasPrefix(s[i:], "/*"):
		if n := strings.Index(s[i+2:], "*/"); n >= 0 {
			return i + 2 + n + 2, 0
		}
		return len(s), 0
	case c == '`':
		return closing(s, i), 'q'
	case c == '\'' || c == '"':
		return closing(s, i), 's'
	case c >= '0' && c <= '9':
		return i + span(s[i:], func(c byte) bool { return isWord(c) || c == '.' }), 'n'
	case isWord(c):
		return i + span(s[i:], isWord), 'w'
	}
	_, n := utf8.DecodeRuneInString(s[i:])
	return i + n, c
}

func isWord(c byte) bool {
	return c == '_' || c == '$' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

func span(s string, in func(byte) bool) int {
	n := 0
	for n < len(s) && in(s[n]) {
		n++
	}
	return n
}

func lineEnd(s string) int {
	if n := strings.IndexByte(s, '\n'); n >= 0 {
		return n
	}
	return len(s)
}

// closing returns the end of a quoted piece: the quote doubled, or in strings after a backslash, goes on.
func closing(s string, i int) int {
	q := s[i]
	for i++; i < len(s); i++ {
		switch {
		case s[i] == '\\' && q != '`':
			i++
		case s[i] == q && i+1 < len(s) && s[i+1] == q:
			i++
		case s[i] == q:
			return i + 1
		}
	}
	return len(s)
}

// layout is where the parts of a view's text are.
type layout struct {
	toks     []token
	selectAt int // of SELECT
	listEnd  int // end of the SELECT list: hidden columns go here
	end      int // end of the SELECT, without what follows
	tables   []int
	// next is the number of table names that were taken so far.
	next int
}

// readLayout finds SELECT, the end of its list, and the tables of FROM.
func readLayout(s string) (layout, error) {
	if at := executableComment(s); at >= 0 {
		return layout{}, refuseAt(at, "write it as plain text or as a plain comment", "version comments and hints mean other things on other servers")
	}
	l := layout{toks: tokens(s), end: len(s)}
	i := 0
	for i < len(l.toks) && !l.toks[i].is("select") {
		i++
	}
	if i == len(l.toks) {
		return l, refuseAt(0, "write CREATE VIEW name AS SELECT ...", "the text holds no SELECT")
	}
	l.selectAt = l.toks[i].at
	last := len(l.toks) - 1
	for last > i && l.toks[last].kind == ';' {
		last--
	}
	l.end = l.toks[last].end
	depth := 0
	for ; i < len(l.toks); i++ {
		switch t := l.toks[i]; {
		case t.kind == '(':
			depth++
		case t.kind == ')':
			depth--
		case depth == 0 && t.is("from"):
			l.listEnd = l.toks[i-1].end
			l.findTables(i)
			return l, nil
		}
	}
	return l, nil
}

func executableComment(s string) int {
	for i := 0; i < len(s); {
		j, _ := scanToken(s, i)
		if p := s[i:j]; strings.HasPrefix(p, "/*!") || strings.HasPrefix(p, "/*M!") || strings.HasPrefix(p, "/*+") || strings.HasPrefix(p, "/*T!") {
			return i
		}
		i = j
	}
	return -1
}

// findTables notes where table names begin: after FROM, JOIN and the commas between them.
func (l *layout) findTables(from int) {
	expect, inExpr, depth, exprDepth := true, false, 0, 0
	for i := from + 1; i < len(l.toks); i++ {
		t := l.toks[i]
		next := byte(0)
		if i+1 < len(l.toks) {
			next = l.toks[i+1].kind
		}
		switch {
		case t.kind == '(':
			depth++
		case t.kind == ')':
			depth--
		case t.is("where"), t.kind == ';':
			return
		case t.is("join") || t.is("straight_join"):
			expect, inExpr = true, false
		case (t.is("on") || t.is("using")) && !expect:
			inExpr, exprDepth = true, depth
		case t.kind == ',' && (!inExpr || depth <= exprDepth && !l.usingList(i)):
			expect, inExpr = true, false
		case expect && (t.kind == 'q' || t.kind == 'w') && next != '(':
			l.tables = append(l.tables, t.at)
			expect = false
		}
	}
}

// usingList reports whether the comma at token i stands in USING (a, b).
func (l *layout) usingList(i int) bool {
	for j := i; j > 0; j-- {
		if l.toks[j].kind == '(' {
			return l.toks[j-1].is("using")
		}
		if l.toks[j].kind == ')' {
			return false
		}
	}
	return false
}

// takeTable returns the place of the next table of FROM.
func (l *layout) takeTable() int {
	if l.next < len(l.tables) {
		l.next++
		return l.tables[l.next-1]
	}
	return l.selectAt
}

// starAt returns the place of the star of a wildcard field.
func (l *layout) starAt(*ast.SelectField) int {
	for _, t := range l.toks {
		if t.at > l.selectAt && t.kind == '*' {
			return t.at
		}
	}
	return l.selectAt
}

// insertion is text to put in at an offset.
type insertion struct {
	at   int
	text string
}

// rewrite returns the SELECT with insertions.
func (l *layout) rewrite(s string, ins []insertion) string {
	sort.SliceStable(ins, func(i, j int) bool { return ins[i].at < ins[j].at })
	var b strings.Builder
	at := l.selectAt
	for _, n := range ins {
		b.WriteString(s[at:n.at])
		b.WriteString(n.text)
		at = n.at
	}
	b.WriteString(s[at:l.end])
	return b.String()
}
