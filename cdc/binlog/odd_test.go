package binlog

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
)

// TestOldFormats: MariaDB's temporal types as before 5.6, and its compressed events.
func TestOldFormats(t *testing.T) {
	f := newFixture(t, testenv.NewMariaDB(t, "--mysql56-temporal-format=OFF", "--log-bin-compress=ON"))
	f.exec("SET sql_mode = ''", "SET time_zone = '+00:00'",
		"CREATE TABLE t0 (id INT PRIMARY KEY, v TIME)", "CREATE TABLE t1 (id INT PRIMARY KEY, v DATETIME)", "CREATE TABLE t2 (id INT PRIMARY KEY, v TIMESTAMP NULL)",
		"CREATE TABLE fine (id INT PRIMARY KEY, v TIME(3))", "CREATE TABLE long_text (id INT PRIMARY KEY, v TEXT)")
	r := f.open(f.current())
	for i, values := range [][]string{
		{"-838:59:59", "838:59:59", "00:00:00", "-00:00:01", "12:34:56"},
		{"1000-01-01 00:00:00", "9999-12-31 23:59:59", "0000-00-00 00:00:00", "2024-02-29 12:00:00"},
		{"1970-01-01 00:00:01", "2038-01-19 03:14:07", "0000-00-00 00:00:00"},
	} {
		for j, v := range values {
			f.exec(fmt.Sprintf("INSERT INTO t%d VALUES (%d, '%s')", i, j, v))
		}
	}
	f.exec("INSERT INTO long_text VALUES (1, REPEAT('text ', 200))", "UPDATE long_text SET v = REPEAT('more ', 200)", "DELETE FROM long_text",
		"ALTER TABLE long_text ADD COLUMN n INT COMMENT '"+strings.Repeat("a statement of some length ", 20)+"'")
	items := f.until(r, f.current())
	streamed := map[string]change.Value{}
	var long []string
	for _, e := range events(t, items) {
		if name := e.Table.ID.Name; name != "long_text" {
			streamed[fmt.Sprintf("%s/%d", name, e.After[0].Int())] = e.After[1]
		} else {
			long = append(long, e.Op.String())
		}
	}
	for i := range 3 {
		for key, v := range f.selected(fmt.Sprintf("t%d", i)) {
			if streamed[key] != v {
				t.Errorf("%s: log %v, select %v", key, streamed[key], v)
			}
		}
	}
	if len(streamed) != 12 {
		t.Errorf("%d values, want 12", len(streamed))
	}
	if d := cmp.Diff([]string{"c", "u", "d"}, long); d != "" {
		t.Error(d)
	}
	if last := story(items); last[len(last)-1] != "followed long_text" {
		t.Errorf("a compressed statement was not read: %v", last[len(last)-1])
	}
	f.exec("INSERT INTO fine VALUES (1, '01:02:03.456')", "INSERT INTO fine VALUES (2, '01:02:03.456')")
	items = f.until(r, f.current())
	if len(items) != 5 || items[1].Kind != Pause || !errors.Is(items[1].Pause.Reason, cdc.ErrUnsupported) || !strings.Contains(items[1].Pause.Reason.Error(), "ALTER TABLE … FORCE") {
		t.Errorf("old fractions: %v", story(items))
	}
}

func TestZeroDates(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.MySQLServer) {
		for _, c := range []struct {
			policy string
			want   []string
		}{
			{"null_or_stop", []string{"c n [] [1 NULL]", "pause s"}},
			{"stop", []string{"pause n", "pause s"}},
			{"epoch", []string{"c n [] [1 1970-01-01]", "c s [] [1 1970-01-01 00:00:00]"}},
		} {
			t.Run(c.policy, func(t *testing.T) {
				f := newFixture(t, s)
				cfg := config(s)
				var err error
				if cfg.ZeroDates, err = cdc.ParseZeroDates(c.policy); err != nil {
					t.Fatal(err)
				}
				f.src = openSource(t, cfg)
				f.exec("SET sql_mode = ''", "CREATE TABLE n (id INT PRIMARY KEY, d DATE)", "CREATE TABLE s (id INT PRIMARY KEY, d DATETIME NOT NULL)")
				r := f.open(f.current())
				f.exec("INSERT INTO n VALUES (1, '0000-00-00')", "INSERT INTO s VALUES (1, '2024-00-01 00:00:00')")
				items := f.until(r, f.current())
				if d := cmp.Diff(c.want, story(items)); d != "" {
					t.Error(d)
				}
				for _, i := range items {
					var bad *cdc.ValueError
					if i.Kind == Pause && (!errors.As(i.Pause.Reason, &bad) || bad.Column != "d" || bad.Value == "") {
						t.Errorf("paused for %v", i.Pause.Reason)
					}
				}
			})
		}
	})
}

// TestLogRefused: a user who may log in and not read the log, and a password that changed.
func TestLogRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.MySQLServer) {
		f := newFixture(t, s)
		name := "reader_" + f.db
		f.exec(fmt.Sprintf("CREATE USER '%s'@'%%' IDENTIFIED BY 'pw'", name))
		t.Cleanup(func() { _ = s.Exec(t.Context(), fmt.Sprintf("DROP USER '%s'@'%%'", name)) })
		cfg, password := config(s), "pw"
		cfg.User, cfg.Password = name, func() (string, error) { return password, nil }
		src := openSource(t, cfg)
		tryOpen := func() error {
			r, err := Open(t.Context(), src, Options{From: f.current()})
			if err != nil {
				return err
			}
			defer r.Close()
			_, err = r.Next(t.Context())
			return err
		}
		for _, p := range []string{"pw", "changed"} {
			password = p
			var e *cdc.Error
			if err := tryOpen(); !errors.Is(err, cdc.ErrAccess) || !errors.As(err, &e) || e.Hint == "" {
				t.Errorf("with password %s: %v", p, err)
			}
		}
	})
}
