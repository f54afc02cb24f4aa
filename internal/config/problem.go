package config

import (
	"fmt"
	"slices"
	"strings"
)

// Place says where a setting was written.
type Place struct {
	// Source is a file's name, or "environment CDC_…", or "--set …".
	Source string
	// Line and Column count from 1 in a file; 0 elsewhere.
	Line, Column int
}

// String writes file:line:column, or the source alone.
func (p Place) String() string {
	if p.Line == 0 || p.Source == "" {
		return p.Source
	}
	return fmt.Sprintf("%s:%d:%d", p.Source, p.Line, p.Column)
}

// Problem is one thing that is wrong with the configuration.
type Problem struct {
	Place Place
	// Path names the setting: sinks.neptune.port.
	Path string
	// What is wrong, and the way out.
	What string
}

// String writes place, path and what is wrong in one line.
func (p Problem) String() string {
	var parts []string
	if s := p.Place.String(); s != "" {
		parts = append(parts, s)
	}
	if p.Path != "" {
		parts = append(parts, p.Path)
	}
	return strings.Join(append(parts, p.What), ": ")
}

// Problems is everything that is wrong, in the order of the places. It is an error when not empty.
type Problems []Problem

// Error writes one problem a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		// What was written outside the file comes last, in the order found.
		if (a.Place.Line == 0) != (b.Place.Line == 0) {
			if a.Place.Line == 0 {
				return 1
			}
			return -1
		}
		if a.Place.Line != b.Place.Line {
			return a.Place.Line - b.Place.Line
		}
		return a.Place.Column - b.Place.Column
	})
}

// nearest returns the candidate that is most likely meant by a misspelt word, or "".
func nearest(word string, candidates []string) string {
	best, bestDistance := "", 3
	if len(word) < 5 {
		bestDistance = 2
	}
	for _, c := range candidates {
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d < bestDistance || (d == bestDistance && best == "") {
			best, bestDistance = c, d
		}
	}
	if best == "" {
		for _, c := range candidates {
			if strings.HasPrefix(c, word) || strings.HasPrefix(word, c+"_") {
				return c
			}
		}
	}
	return best
}

// distance is the number of letters to insert, remove, replace or swap with a neighbour (optimal string
// alignment) that turn a into b.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// oneOf ends a message about a word that is not allowed: the nearest one, and all of them.
func oneOf(word string, allowed []string) string {
	if n := nearest(word, allowed); n != "" {
		return fmt.Sprintf("did you mean %q? allowed: %s", n, strings.Join(allowed, ", "))
	}
	return "allowed: " + strings.Join(allowed, ", ")
}
