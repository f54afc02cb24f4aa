package view

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/etlsandbox/cdc/schemas/change"
)

// TestCollationTables compares every code point of the basic plane, and some beyond, with both servers:
// its weight, its upper and its lower case under each collation that is supported.
func TestCollationTables(t *testing.T) {
	for _, g := range openGolden(t) {
		// longer than one character: sort keys are cut at the column's length, and some points have eight weights
		g.exec(t, "CREATE TABLE points (c VARCHAR(8) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PRIMARY KEY)")
		var points []rune
		for r := rune(0); r <= 0xffff; r++ {
			if r < 0xd800 || r > 0xdfff {
				points = append(points, r)
			}
		}
		for r := rune(0x10000); r < 0x20000; r += 97 {
			points = append(points, r)
		}
		points = append(points, 0x10400, 0x10428, 0x1f600, 0x10ffff)
		g.fillPoints(t, points)
		for _, name := range []string{"utf8mb4_general_ci", "utf8mb4_bin", "utf8_general_ci", "utf8_bin", "utf8mb4_unicode_ci", "utf8_unicode_ci", "latin1_swedish_ci", "latin1_bin"} {
			g.comparePoints(t, name)
		}
	}
}

func (g *goldenServer) fillPoints(t *testing.T, points []rune) {
	t.Helper()
	for len(points) > 0 {
		n := min(len(points), 4000)
		var b strings.Builder
		b.WriteString("INSERT IGNORE INTO points VALUES ")
		for i, r := range points[:n] {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, "(_utf8mb4 x'%x')", string(r))
		}
		g.exec(t, b.String())
		points = points[n:]
	}
}

// comparePoints checks one collation over the points that its character set holds.
func (g *goldenServer) comparePoints(t *testing.T, name string) {
	t.Helper()
	charset, _, _ := strings.Cut(name, "_")
	c := "CONVERT(c USING " + charset + ")"
	query := fmt.Sprintf("SELECT c, HEX(WEIGHT_STRING(%[1]s COLLATE %[2]s)), CONVERT(UPPER(%[1]s COLLATE %[2]s) USING utf8mb4), CONVERT(LOWER(%[1]s COLLATE %[2]s) USING utf8mb4) FROM points", c, name)
	switch charset {
	case "utf8":
		query += " WHERE LENGTH(c) < 4"
	case "latin1":
		query += " WHERE CONVERT(CONVERT(c USING latin1) USING utf8mb4) = c"
	}
	text := change.Type{Kind: change.String}
	rows, err := g.query(query, []change.Type{text, text, text, text})
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) < 250 {
		t.Fatalf("%s: %d points under %s", g.name, len(rows), name)
	}
	col := collationOf(name)
	upper, lower := caseMaps(name)
	bad := 0
	for _, row := range rows {
		s := row[0].Text()
		r, _ := utf8.DecodeRuneInString(s)
		if want := row[1].Text(); !strings.HasSuffix(name, "_bin") { // the weights of _bin are of another form on each server
			if got := weightHex(col, r, len(want)); got != want {
				t.Errorf("%s: weight of %q (%U) under %s is %s, here %s", g.name, s, r, name, want, got)
				bad++
			}
		}
		if got := mapCase(upper, s); got != row[2].Text() {
			t.Errorf("%s: UPPER(%q) (%U) under %s is %q, here %q", g.name, s, r, name, row[2].Text(), got)
			bad++
		}
		if got := mapCase(lower, s); got != row[3].Text() {
			t.Errorf("%s: LOWER(%q) (%U) under %s is %q, here %q", g.name, s, r, name, row[3].Text(), got)
			bad++
		}
		if bad > 20 {
			t.FailNow()
		}
	}
	g.compareOrder(t, col, c, len(rows))
	t.Logf("%s: %d points under %s", g.name, len(rows), name)
}

// weightHex is a code point's weight as WEIGHT_STRING prints it.
func weightHex(c *collation, r rune, digits int) string {
	if c.uca == nil {
		return fmt.Sprintf("%0*X", digits, c.weights.at(r))
	}
	var s string
	for _, w := range c.uca.at(r).list() {
		s += fmt.Sprintf("%04X", w)
	}
	return s
}

// compareOrder lets the server sort the points: the sequence, and where it sees a new value, is ours.
func (g *goldenServer) compareOrder(t *testing.T, col *collation, expr string, points int) {
	t.Helper()
	text := change.Type{Kind: change.String}
	where := ""
	if strings.HasPrefix(col.name, "utf8_") {
		where = " WHERE LENGTH(c) < 4"
	} else if strings.HasPrefix(col.name, "latin1_") {
		where = " WHERE CONVERT(CONVERT(c USING latin1) USING utf8mb4) = c"
	}
	sorted, err := g.query(fmt.Sprintf("SELECT c FROM points%s ORDER BY %s COLLATE %s", where, expr, col.name), []change.Type{text})
	if err != nil {
		t.Fatal(err)
	}
	values := 1
	for i := 1; i < len(sorted); i++ {
		order := col.compare(sorted[i-1][0].Text(), sorted[i][0].Text())
		if order > 0 {
			t.Fatalf("%s under %s: %s sorts before %s", g.name, col.name, sorted[i-1][0], sorted[i][0])
		}
		if order < 0 {
			values++
		}
	}
	count, err := g.query(fmt.Sprintf("SELECT COUNT(DISTINCT %s COLLATE %s) FROM points%s", expr, col.name, where), []change.Type{{Kind: change.Int}})
	if err != nil {
		t.Fatal(err)
	}
	if int(count[0][0].Int()) != values || len(sorted) != points {
		t.Errorf("%s under %s: %s distinct values of %d points, here %d of %d", g.name, col.name, count[0][0], len(sorted), values, points)
	}
}
