package cdc_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/cdc/binlog"
	"github.com/etlsandbox/cdc/internal/testenv"
)

func TestOpenDescribesServer(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.MySQLServer) {
		a, b := open(t, config(s)).Server(), open(t, config(s)).Server()
		if a != b || a.Identity == "" || a.Number < 50700 || string(a.Flavor) != s.Flavor || !a.LogBin {
			t.Errorf("server %+v, again %+v", a, b)
		}
	})
}

func TestSessionsAreReadOnlyAndFixed(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.MySQLServer) {
		src, db := open(t, config(s)), s.CreateDatabase(t)
		exec(t, s, db, "CREATE TABLE t (id INT)")
		conn, err := src.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		var zone, mode, set string
		if err := conn.QueryRowContext(t.Context(), "SELECT @@time_zone, @@sql_mode, @@character_set_results").Scan(&zone, &mode, &set); err != nil {
			t.Fatal(err)
		}
		if zone != "+00:00" || mode != "" || set != "utf8mb4" {
			t.Errorf("session has time_zone %q, sql_mode %q, character set %q", zone, mode, set)
		}
		if _, err := conn.ExecContext(t.Context(), "INSERT INTO "+db+".t VALUES (1)"); err == nil {
			t.Error("a session could write")
		}
	})
}

func TestOpenRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.MySQLServer) {
		cfg := config(s)
		cfg.Password = func() (string, error) { return "wrong-secret", nil }
		_, err := cdc.Open(t.Context(), cfg)
		wantKind(t, err, cdc.ErrAccess)
		if strings.Contains(err.Error(), "wrong-secret") {
			t.Errorf("the password is in %v", err)
		}
		cfg = config(s)
		cfg.Type = map[string]string{"mysql": "mariadb", "mariadb": "mysql"}[s.Flavor]
		_, err = cdc.Open(t.Context(), cfg)
		wantKind(t, err, cdc.ErrUnsupported)

		missing := errors.New("no such secret")
		cfg = config(s)
		cfg.Password = func() (string, error) { return "", missing }
		if _, err := cdc.Open(t.Context(), cfg); !errors.Is(err, missing) {
			t.Errorf("error %v, want the secret's own", err)
		}
	})
}

func TestOpenUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = cdc.Open(t.Context(), cdc.Config{Host: "127.0.0.1", Port: port, User: "x"})
	wantKind(t, err, cdc.ErrDisconnected)
}

// authority makes a CA and a server certificate for 127.0.0.1, in files that any user can read.
func authority(t *testing.T, host net.IP) (ca, cert, key string) {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	must := func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serverKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	until := time.Now().Add(time.Hour)
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test ca"}, NotAfter: until, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "db"}, NotAfter: until, IPAddresses: []net.IP{host},
		DNSNames: []string{"db.test"}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	ca = write("ca.pem", "CERTIFICATE", must(x509.CreateCertificate(rand.Reader, root, root, &caKey.PublicKey, caKey)))
	cert = write("cert.pem", "CERTIFICATE", must(x509.CreateCertificate(rand.Reader, leaf, root, &serverKey.PublicKey, caKey)))
	key = write("key.pem", "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(serverKey)))
	return ca, cert, key
}

func TestTLS(t *testing.T) {
	ca, cert, key := authority(t, net.IPv4(127, 0, 0, 1))
	other, _, _ := authority(t, net.IPv4(127, 0, 0, 1))
	args := []string{"--ssl-ca=" + ca, "--ssl-cert=" + cert, "--ssl-key=" + key}
	run := func(t *testing.T, s *testenv.MySQLServer) {
		for _, c := range []struct {
			name string
			tls  cdc.TLS
			kind error // nil: it connects
			open bool  // without encryption
		}{
			{name: "disable", tls: cdc.TLS{Mode: "disable"}, open: true},
			{name: "default on this machine", open: true},
			{name: "require", tls: cdc.TLS{Mode: "require"}},
			{name: "verify-ca", tls: cdc.TLS{Mode: "verify-ca", CA: ca}},
			{name: "verify-ca by another name", tls: cdc.TLS{Mode: "verify-ca", CA: ca, ServerName: "else.test"}},
			{name: "verify-ca, other authority", tls: cdc.TLS{Mode: "verify-ca", CA: other}, kind: cdc.ErrAccess},
			{name: "verify-full", tls: cdc.TLS{Mode: "verify-full", CA: ca}},
			{name: "verify-full by name", tls: cdc.TLS{Mode: "verify-full", CA: ca, ServerName: "db.test"}},
			{name: "verify-full, other name", tls: cdc.TLS{Mode: "verify-full", CA: ca, ServerName: "else.test"}, kind: cdc.ErrAccess},
			{name: "verify-full, other authority", tls: cdc.TLS{Mode: "verify-full", CA: other}, kind: cdc.ErrAccess},
		} {
			t.Run(c.name, func(t *testing.T) {
				cfg := config(s)
				cfg.TLS = c.tls
				src, err := cdc.Open(t.Context(), cfg)
				if c.kind != nil {
					wantKind(t, err, c.kind)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				defer src.Close()
				var name, cipher string
				if err := src.DB().QueryRowContext(t.Context(), "SHOW STATUS LIKE 'Ssl_cipher'").Scan(&name, &cipher); err != nil {
					t.Fatal(err)
				}
				if (cipher == "") != c.open {
					t.Errorf("cipher %q", cipher)
				}
				readLog(t, s, src)
			})
		}
	}
	t.Run("mariadb", func(t *testing.T) { run(t, testenv.NewMariaDB(t, args...)) })
	t.Run("mysql", func(t *testing.T) { run(t, testenv.NewMySQL(t, args...)) })
}

// readLog reads a transaction from the log.
func readLog(t *testing.T, s *testenv.MySQLServer, src *cdc.Source) {
	t.Helper()
	from, err := src.Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	exec(t, s, "mysql", "CREATE DATABASE beside", "DROP DATABASE beside")
	r, err := binlog.Open(t.Context(), src, binlog.Options{From: from})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		item, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if item.Kind == binlog.Commit {
			return
		}
	}
}

func TestTLSSettings(t *testing.T) {
	for _, c := range []struct {
		cfg  cdc.Config
		want string
	}{
		{cdc.Config{Host: "db.example.com", TLS: cdc.TLS{Mode: "maybe"}}, "want disable, require"},
		{cdc.Config{Host: "db.example.com", TLS: cdc.TLS{CA: "/nowhere/ca.pem"}}, "read tls.ca"},
		{cdc.Config{Host: "db.example.com", TLS: cdc.TLS{Cert: "a.pem"}}, "belong together"},
	} {
		if _, err := c.cfg.TLSConfig(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want %q in it", c.cfg.TLS, err, c.want)
		}
	}
	got, err := cdc.Config{Host: "db.example.com"}.TLSConfig()
	if err != nil || got == nil || got.InsecureSkipVerify || got.ServerName != "db.example.com" {
		t.Errorf("a remote host is not verified by default: %+v, %v", got, err)
	}
}
