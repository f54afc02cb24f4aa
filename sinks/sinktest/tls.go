package sinktest

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TLSSettings are those of a sink; "" is what the sink does by itself.
type TLSSettings struct{ Mode, CA, ServerName string }

// TLS offers a certificate that nobody vouches for to a sink that connects to addr. Where the sink is told nothing, it
// must refuse; where it is told to trust it, or not to look, it must go on. begin reads and answers on a new connection
// what precedes TLS; nil is nothing. What the sink says when the connection ends behind the handshake does not count.
func TLS(t *testing.T, begin func(net.Conn) error, connect func(ctx context.Context, addr *net.TCPAddr, c TLSSettings) error) {
	server := httptest.NewTLSServer(nil)
	certificate := server.TLS.Certificates[0] // for 127.0.0.1 and example.com, signed by itself
	server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		with    TLSSettings
		trusted bool
	}{
		{"by default", TLSSettings{}, false},
		{"by default, vouched for", TLSSettings{CA: ca}, true},
		{"by default, another name", TLSSettings{CA: ca, ServerName: "other.example.org"}, false},
		{"by default, one of its names", TLSSettings{CA: ca, ServerName: "example.com"}, true},
		{"verify-full", TLSSettings{Mode: "verify-full"}, false},
		{"verify-ca", TLSSettings{Mode: "verify-ca"}, false},
		{"verify-ca, another name", TLSSettings{Mode: "verify-ca", CA: ca, ServerName: "other.example.org"}, true},
		{"require", TLSSettings{Mode: "require"}, true},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		met := make(chan error, 1)
		go func() { met <- handshake(l, begin, certificate) }()
		err = connect(t.Context(), l.Addr().(*net.TCPAddr), c.with)
		if err == nil {
			t.Errorf("%s: connected to what is no server", c.name)
		}
		_ = l.Close() // ends the accepting, if it has not ended
		shaken := <-met
		if (shaken == nil) != c.trusted {
			t.Errorf("%s: trusted: %t, want %t (the sink: %v; the server: %v)", c.name, shaken == nil, c.trusted, err, shaken)
		}
	}
}

// handshake serves connections until one has got through the handshake; an error is that of the last.
func handshake(l net.Listener, begin func(net.Conn) error, certificate tls.Certificate) error {
	var last error
	for {
		conn, err := l.Accept()
		if err != nil {
			if last == nil {
				last = err
			}
			return last
		}
		last = shake(conn, begin, certificate)
		_ = conn.Close() // shake's error counts
		if last == nil {
			return nil
		}
	}
}

func shake(conn net.Conn, begin func(net.Conn) error, certificate tls.Certificate) error {
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	if begin != nil {
		if err := begin(conn); err != nil {
			return err
		}
	}
	return tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{certificate}}).Handshake()
}
