package charset

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/etlsandbox/cdc/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// TestAgainstServers compares every code of one and two bytes with the servers' own conversion.
func TestAgainstServers(t *testing.T) {
	run := func(t *testing.T, s *testenv.MySQLServer) {
		db, err := s.Open("")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		conn, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for _, q := range []string{"SET NAMES utf8mb4", map[string]string{"mysql": "SET cte_max_recursion_depth = 70000", "mariadb": "SET max_recursive_iterations = 70000"}[s.Flavor]} {
			if _, err := conn.ExecContext(t.Context(), q); err != nil {
				t.Fatal(err)
			}
		}
		names, err := charsets(t.Context(), conn)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			decode, ok := Of(name)
			if !ok {
				t.Logf("%s is not supported", name)
				continue
			}
			codes, bad := 0, 0
			for _, c := range []struct {
				prefix string
				size   int
			}{{"", 1}, {"", 2}, {"8F", 2}} {
				if c.prefix != "" && name != "ujis" || c.size > 1 && upper(name) != "" {
					continue
				}
				err := conversions(t.Context(), conn, name, c.prefix, c.size, func(code []byte, want string) {
					codes++
					got, err := decode(nil, code)
					switch {
					case err != nil && strings.ContainsRune(want, utf8.RuneError):
						// The character that means "no character" may be refused.
					case !utf8.ValidString(want): // half of a surrogate pair, which the server takes for a character
						if err == nil {
							t.Errorf("%s %x: %q is not text", name, code, got)
						}
					case err != nil || string(got) != want:
						if bad++; bad < 10 {
							t.Errorf("%s %x: %q, %v, the server says %q", name, code, got, err, want)
						}
					}
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("%s: %d codes", name, codes)
		}
	}
	t.Run("mariadb", func(t *testing.T) { run(t, testenv.MariaDB(t)) })
	t.Run("mysql", func(t *testing.T) { run(t, testenv.MySQL(t)) })
}

func charsets(ctx context.Context, conn *sql.Conn) ([]string, error) {
	rows, err := conn.QueryContext(ctx, "SELECT CHARACTER_SET_NAME FROM information_schema.CHARACTER_SETS ORDER BY 1")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		names = append(names, n)
	}
	return names, rows.Err()
}

// conversions calls f with every code of a prefix and size bytes that is text of the character set to the server, and
// with its conversion to UTF-8.
func conversions(ctx context.Context, conn *sql.Conn, name, prefix string, size int, f func(code []byte, text string)) error {
	// A code that does not survive the way there and back is none.
	q := fmt.Sprintf(`WITH RECURSIVE n AS (SELECT 0 AS i UNION ALL SELECT i + 1 FROM n WHERE i + 1 < %d),
		c AS (SELECT UNHEX(CONCAT('%s', LPAD(HEX(i), %d, '0'))) AS code FROM n),
		u AS (SELECT code, CONVERT(CONVERT(code USING %s) USING utf8mb4) AS text FROM c)
		SELECT HEX(code), HEX(text) FROM u WHERE text IS NOT NULL AND CONVERT(text USING %s) = CONVERT(code USING %s)
			AND HEX(CONVERT(text USING %s)) = HEX(code)`, 1<<(8*size), prefix, 2*size, name, name, name, name)
	rows, err := conn.QueryContext(ctx, q)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer rows.Close()
	for rows.Next() {
		var code, text string
		if err := rows.Scan(&code, &text); err != nil {
			return err
		}
		c, err1 := hex.DecodeString(code)
		u, err2 := hex.DecodeString(text)
		if err1 != nil || err2 != nil {
			return fmt.Errorf("%s: the server says %q, %q", name, code, text)
		}
		f(c, string(u))
	}
	return rows.Err()
}

// FuzzDecode: any bytes give UTF-8 or an error, behind what was there before.
func FuzzDecode(f *testing.F) {
	names := []string{"utf8mb4", "latin1", "swe7", "utf16", "utf16le", "utf32", "ucs2", "gbk", "sjis", "cp932", "ujis", "euckr"}
	for i := range names {
		f.Add(uint8(i), []byte("abc \x81\x40\x8f\xa1\xa1\xff"))
	}
	f.Fuzz(func(t *testing.T, n uint8, src []byte) {
		decode, ok := Of(names[int(n)%len(names)])
		if !ok {
			t.Fatal("not supported")
		}
		got, err := decode([]byte("before"), src)
		if err == nil && (!utf8.Valid(got) || !strings.HasPrefix(string(got), "before")) {
			t.Errorf("%x gives %q", src, got)
		}
	})
}
