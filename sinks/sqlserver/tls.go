package sqlserver

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// TLS says how the connection is protected.
type TLS struct {
	// Mode is disable, require (encrypted, server not checked), verify-ca or verify-full; "" is verify-full.
	Mode string
	// CA, Cert and Key are PEM files; without CA the system's authorities count.
	CA, Cert, Key string
	// ServerName overrides the host that verify-full checks.
	ServerName string
}

// tlsConfig returns nil for a connection without encryption.
func (c Config) tlsConfig() (*tls.Config, error) {
	if c.TLS.Mode == "disable" {
		return nil, nil
	}
	// One TDS packet must be one TLS record: the server expects them so while TLS is set up.
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.TLS.ServerName, DynamicRecordSizingDisabled: true}
	if t.ServerName == "" {
		t.ServerName = c.Host
	}
	if c.TLS.CA != "" {
		pem, err := os.ReadFile(c.TLS.CA)
		if err != nil {
			return nil, fmt.Errorf("read ca: %w", err)
		}
		if t.RootCAs = x509.NewCertPool(); !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca %s holds no PEM certificate", c.TLS.CA)
		}
	}
	if c.TLS.Cert != "" {
		pair, err := tls.LoadX509KeyPair(c.TLS.Cert, c.TLS.Key)
		if err != nil {
			return nil, fmt.Errorf("load client certificate: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	switch c.TLS.Mode {
	case "", "verify-full":
	case "require":
		t.InsecureSkipVerify = true // what the operator asked for by name: encrypted, not authenticated
	case "verify-ca":
		t.InsecureSkipVerify = true // the name is not checked, the chain is, below
		roots := t.RootCAs
		t.VerifyConnection = func(cs tls.ConnectionState) error {
			opts := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
			for _, cert := range cs.PeerCertificates[1:] {
				opts.Intermediates.AddCert(cert)
			}
			_, err := cs.PeerCertificates[0].Verify(opts)
			return err
		}
	default:
		return nil, fmt.Errorf("mode %q is none of disable, require, verify-ca, verify-full", c.TLS.Mode)
	}
	return t, nil
}
