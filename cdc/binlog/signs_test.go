package binlog

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/internal/testenv"
)

// TestSignsAfterYear: the metadata's bit of a YEAR column, which counts as a number there, must not shift
// the signs of the columns behind it.
func TestSignsAfterYear(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.MySQLServer) {
		f := newFixture(t, s)
		f.exec("CREATE TABLE a (id INT UNSIGNED PRIMARY KEY, y YEAR, d DECIMAL(4,2), u TINYINT UNSIGNED, z YEAR, i INT, f FLOAT, b BIT(3), w BIGINT UNSIGNED, e ENUM('x','y'), n INT)")
		r := f.open(f.current())
		f.exec("INSERT INTO a VALUES (4294967295, 2024, -1.50, 200, 1999, -7, 1.5, 5, 18446744073709551615, 'y', -1)")
		want := []string{`c a [] [4294967295 2024 -1.50 200 1999 -7 1.5 5 18446744073709551615 "y" -1]`}
		if d := cmp.Diff(want, text(events(t, f.until(r, f.current())))); d != "" {
			t.Error(d)
		}
	})
}
