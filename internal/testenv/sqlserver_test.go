package testenv_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/etlsandbox/cdc/internal/testenv"
)

// TestSQLServerOfTheEnvironment uses a server whose address the environment names, over verified TLS; here it is a
// double, and it cannot be stopped.
func TestSQLServerOfTheEnvironment(t *testing.T) {
	double := testenv.NewSQLServer(t)
	address := func(tls string) string {
		return strings.Replace(double.DSN(""), "encrypt=disable", tls, 1)
	}
	env, err := testenv.Start(t.Context(), testenv.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, tls := range []string{"tls=verify-full&ca=" + double.CA, "tls=require", "tls=disable"} {
		t.Setenv("CDC_TEST_SQLSERVER", address(tls))
		s, err := env.SQLServer(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", tls, err)
		}
		if s.From != "environment" || s.Double != nil || !strings.HasPrefix(s.Version, "16.0.") {
			t.Errorf("%s: version %s from %s", tls, s.Version, s.From)
		}
		name := s.CreateDatabase(t)
		if err := s.Exec(t.Context(), name, "CREATE TABLE dbo.T (Id int)", "INSERT INTO dbo.T VALUES (1)"); err != nil {
			t.Errorf("%s: %v", tls, err)
		}
		if err := s.Kill9(); !errors.Is(err, testenv.ErrExternal) {
			t.Errorf("%s: killing the environment's server: %v", tls, err)
		}
	}
	for _, wrong := range []string{"tls=maybe", "tls=verify-full"} { // the second does not know the authority
		t.Setenv("CDC_TEST_SQLSERVER", address(wrong))
		if _, err := env.SQLServer(t.Context()); err == nil || testenv.IsMissing(err) {
			t.Errorf("%s: %v", wrong, err)
		}
	}
	if _, err := os.Stat(double.CA); err != nil {
		t.Error(err)
	}
}
