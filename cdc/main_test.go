package cdc_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(testenv.Wrap(m)) }

func onBoth(t *testing.T, f func(t *testing.T, s *testenv.MySQLServer)) {
	t.Run("mariadb", func(t *testing.T) { f(t, testenv.MariaDB(t)) })
	t.Run("mysql", func(t *testing.T) { f(t, testenv.MySQL(t)) })
}

func config(s *testenv.MySQLServer) cdc.Config {
	return cdc.Config{
		Host: s.Host, Port: s.Port, User: s.User,
		Password: func() (string, error) { return s.Password, nil },
	}
}

func open(t *testing.T, cfg cdc.Config) *cdc.Source {
	t.Helper()
	src, err := cdc.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close() })
	return src
}

func exec(t *testing.T, s *testenv.MySQLServer, db string, statements ...string) {
	t.Helper()
	if err := s.Exec(t.Context(), append([]string{"USE " + db}, statements...)...); err != nil {
		t.Fatal(err)
	}
}

func inDatabase(db string) cdc.Filter {
	return cdc.Filter{Table: func(id change.TableID) bool { return id.DB == db }}
}

// newUser makes a user with the grants given ("SELECT ON db.*"), dropped with the test.
func newUser(t *testing.T, s *testenv.MySQLServer, grants ...string) cdc.Config {
	t.Helper()
	name := fmt.Sprintf("u%d", time.Now().UnixNano()%1e12)
	q := []string{fmt.Sprintf("CREATE USER '%s'@'%%' IDENTIFIED BY 'pw'", name)}
	for _, g := range grants {
		q = append(q, fmt.Sprintf("GRANT %s TO '%s'@'%%'", g, name))
	}
	if err := s.Exec(t.Context(), q...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Exec(context.Background(), fmt.Sprintf("DROP USER '%s'@'%%'", name)); err != nil {
			t.Error(err)
		}
	})
	cfg := config(s)
	cfg.User, cfg.Password = name, func() (string, error) { return "pw", nil }
	return cfg
}

func wantKind(t *testing.T, err, kind error) {
	t.Helper()
	var e *cdc.Error
	if !errors.Is(err, kind) || !errors.As(err, &e) {
		t.Fatalf("error %v, want one of kind %q", err, kind)
	}
	if (errors.Is(kind, cdc.ErrAccess) || errors.Is(kind, cdc.ErrUnsupported)) && e.Hint == "" {
		t.Errorf("no way out in %v", err)
	}
}
