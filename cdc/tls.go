package cdc

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// TLS says how a connection is encrypted and whom it trusts.
type TLS struct {
	// Mode is disable, require (encrypt, trust anybody), verify-ca or verify-full. "" means verify-full,
	// or disable where the server is on this machine.
	Mode string
	// CA, Cert and Key are paths of PEM files; without CA the system's roots are trusted.
	CA, Cert, Key string
	// ServerName is the name that the certificate must carry; "" is the host.
	ServerName string
}

// TLSConfig returns nil when the connection is not encrypted.
func (c Config) TLSConfig() (*tls.Config, error) {
	mode := c.TLS.Mode
	if mode == "" {
		if mode = "verify-full"; c.isLocal() {
			mode = "disable"
		}
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.TLS.ServerName}
	if t.ServerName == "" {
		t.ServerName = c.Host
	}
	if err := c.TLS.load(t); err != nil {
		return nil, err
	}
	switch mode {
	case "disable":
		return nil, nil
	case "require":
		t.InsecureSkipVerify = true
	case "verify-ca":
		// The chain is checked by hand because crypto/tls cannot check it without the name.
		t.InsecureSkipVerify = true
		t.VerifyConnection = func(s tls.ConnectionState) error { return verifyChain(s, t.RootCAs) }
	case "verify-full":
	default:
		return nil, fmt.Errorf("tls.mode %q: want disable, require, verify-ca or verify-full", mode)
	}
	return t, nil
}

func (t TLS) load(c *tls.Config) error {
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return fmt.Errorf("read tls.ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("read tls.ca: %s holds no certificate in PEM form", t.CA)
		}
	}
	if (t.Cert == "") != (t.Key == "") {
		return errors.New("tls.cert and tls.key belong together: set both or none")
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return fmt.Errorf("load tls.cert and tls.key: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return nil
}

func verifyChain(s tls.ConnectionState, roots *x509.CertPool) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("the server sent no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	return err
}
