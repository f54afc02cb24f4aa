package tds_test

import (
	"crypto/rand"
	"database/sql"
	"net"
	"strings"
	"testing"

	mssql "github.com/microsoft/go-mssqldb"

	"github.com/etlsandbox/cdc/internal/testenv"
)

// connect opens a server under another DSN and asks it something.
func connect(t *testing.T, dsn string) error {
	t.Helper()
	connector, err := mssql.NewConnector(dsn)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	return db.PingContext(t.Context())
}

// TestLogin lets in who may come in, over every kind of connection.
func TestLogin(t *testing.T) {
	s := testenv.NewSQLServer(t)
	plain := s.DSN("")
	for name, c := range map[string]struct {
		dsn  string
		want int32 // 0: it succeeds
	}{
		"no TLS":             {plain, 0},
		"the login alone":    {strings.Replace(plain, "encrypt=disable", "encrypt=false&TrustServerCertificate=true", 1), 0},
		"verified":           {strings.Replace(plain, "encrypt=disable", "encrypt=true&certificate="+s.CA, 1), 0},
		"verified, small":    {strings.Replace(plain, "encrypt=disable", "encrypt=true&packet+size=512&certificate="+s.CA, 1), 0},
		"large packets":      {plain + "&packet+size=16384", 0},
		"wrong password":     {strings.Replace(plain, s.Password, "wrong", 1), 18456},
		"wrong user":         {strings.Replace(plain, "//sa:", "//other:", 1), 18456},
		"no such database":   {s.DSN("missing"), 4060},
		"database by case":   {s.DSN("MASTER"), 0},
		"password over TLS ": {strings.Replace(strings.Replace(plain, s.Password, "wrong", 1), "encrypt=disable", "encrypt=true&certificate="+s.CA, 1), 18456},
	} {
		err := connect(t, c.dsn)
		if c.want == 0 && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c.want != 0 {
			if got := numberOf(t, name, err); got != c.want {
				t.Errorf("%s: error %d, want %d", name, got, c.want)
			}
		}
	}
}

// TestUntrusted keeps out clients that do not trust the certificate, or that speak TDS 8.
func TestUntrusted(t *testing.T) {
	s := testenv.NewSQLServer(t)
	for name, dsn := range map[string]string{
		"unknown authority": strings.Replace(s.DSN(""), "encrypt=disable", "encrypt=true", 1),
		"another host":      strings.Replace(s.DSN(""), "encrypt=disable", "encrypt=true&hostNameInCertificate=example.com&certificate="+s.CA, 1),
		"TDS 8":             strings.Replace(s.DSN(""), "encrypt=disable", "encrypt=strict&certificate="+s.CA, 1),
	} {
		if err := connect(t, dsn); err == nil {
			t.Errorf("%s: the connection was made", name)
		}
	}
	if err := connect(t, s.DSN("")); err != nil {
		t.Errorf("the server does not answer any more: %v", err)
	}
}

// TestGarbage sends bytes that mean nothing; the server drops the connection and serves the next.
func TestGarbage(t *testing.T) {
	s := testenv.NewSQLServer(t)
	for range 20 {
		c, err := net.Dial("tcp", s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		junk := make([]byte, 300)
		if _, err := rand.Read(junk); err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write(junk) // the server may hang up in the middle
		_ = c.Close()
	}
	if err := connect(t, s.DSN("")); err != nil {
		t.Errorf("the server does not answer any more: %v", err)
	}
}
