// Package postgres delivers streams to PostgreSQL 12 or later (15 or later where key columns may be NULL).
//
// A Batch is one transaction: the stream's row in cdc_progress is taken first, rows are sent by binary COPY
// into a temporary table and applied set by set, deletes first, and the Mark moves with them. The role needs
// CONNECT and TEMPORARY on the database, and USAGE and CREATE on the schemas it delivers to; it owns what
// it creates, and must own a table that it adopts (whose comment then says so).
package postgres

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/etlsandbox/cdc/sinks"
)

// Config says where and how to deliver.
type Config struct {
	// Name of the sink: the reader whose covers it takes part in, and application_name "cdc/<name>".
	Name string
	// Host is a name, an address, or the folder of a unix socket (a leading slash). Port 0 is 5432.
	Host     string
	Port     int
	Database string
	// Schema holds cdc_progress, cdc_quarantine and the targets that name none; "" is "public".
	Schema   string
	User     string
	Password string
	TLS      TLS
	OnPoison sinks.OnPoison
	Observer sinks.Observer
	// Memory bounds the bytes of a batch's rows held at a time; 0 is 32 MiB.
	Memory int
	// LockTimeout bounds the wait for a lock before the batch is tried again; 0 is 30 s.
	LockTimeout time.Duration
	// ConnectTimeout bounds one attempt to connect; 0 is 10 s.
	ConnectTimeout time.Duration
}

// TLS says how the connection is protected.
type TLS struct {
	// Mode is disable, require (encrypted, server not checked), verify-ca or verify-full; "" is verify-full,
	// but disable on a unix socket.
	Mode string
	// CA, Cert and Key are PEM files; without CA the system's authorities count.
	CA, Cert, Key string
	// ServerName overrides the host that verify-full checks.
	ServerName string
}

const (
	defaultMemory         = 32 << 20
	defaultLockTimeout    = 30 * time.Second
	defaultConnectTimeout = 10 * time.Second
	defaultPort           = 5432
)

func (c Config) withDefaults() Config {
	if c.Schema == "" {
		c.Schema = "public"
	}
	if c.Port == 0 {
		c.Port = defaultPort
	}
	if c.Memory == 0 {
		c.Memory = defaultMemory
	}
	if c.LockTimeout == 0 {
		c.LockTimeout = defaultLockTimeout
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = defaultConnectTimeout
	}
	return c
}

func (c Config) validate() error {
	var errs []error
	for _, f := range [...]struct{ name, value string }{
		{"name", c.Name}, {"host", c.Host}, {"database", c.Database}, {"user", c.User},
	} {
		if f.value == "" {
			errs = append(errs, fmt.Errorf("%s is empty", f.name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("configure postgres sink %q: %w", c.Name, err)
	}
	return nil
}

// pgxConfig builds the driver's settings. Everything is set here: the driver would otherwise take what is
// missing from PG* variables, a password file or a service file.
func (c Config) pgxConfig() (*pgx.ConnConfig, error) {
	pc, err := pgx.ParseConfig("host=localhost sslmode=disable passfile='' servicefile=''")
	if err != nil {
		return nil, fmt.Errorf("configure postgres sink %q: %w", c.Name, err)
	}
	pc.Host, pc.Port = c.Host, uint16(c.Port)
	pc.Database, pc.User, pc.Password = c.Database, c.User, c.Password
	pc.Fallbacks, pc.ValidateConnect, pc.AfterConnect = nil, nil, nil
	pc.ConnectTimeout = c.ConnectTimeout
	pc.DialFunc = (&net.Dialer{Timeout: c.ConnectTimeout, KeepAlive: 15 * time.Second}).DialContext
	if pc.TLSConfig, err = c.tlsConfig(); err != nil {
		return nil, fmt.Errorf("configure TLS of postgres sink %q: %w", c.Name, err)
	}
	pc.RuntimeParams = map[string]string{
		"application_name":                    "cdc/" + c.Name,
		"client_encoding":                     "UTF8",
		"timezone":                            "UTC",
		"datestyle":                           "ISO",
		"intervalstyle":                       "postgres",
		"standard_conforming_strings":         "on",
		"extra_float_digits":                  "3",
		"statement_timeout":                   "0",
		"idle_in_transaction_session_timeout": "0",
		"lock_timeout":                        strconv.FormatInt(c.LockTimeout.Milliseconds(), 10),
		"default_transaction_isolation":       "read committed",
	}
	return pc, nil
}

func (c Config) tlsConfig() (*tls.Config, error) {
	mode := c.TLS.Mode
	if mode == "" {
		if mode = "verify-full"; strings.HasPrefix(c.Host, "/") {
			mode = "disable"
		}
	}
	if mode == "disable" {
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.TLS.ServerName}
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
	switch mode {
	case "verify-full":
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
		return nil, fmt.Errorf("mode %q is none of disable, require, verify-ca, verify-full", mode)
	}
	return t, nil
}
