package clickhouse

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/etlsandbox/cdc/sinks"
)

// Protocol says how the server is spoken to.
type Protocol string

// The protocols.
const (
	HTTP   Protocol = "http"   // the default
	Native Protocol = "native" // ClickHouse's own, over TCP
)

// Config says where and how to deliver.
type Config struct {
	// Name of the sink: the reader whose covers it takes part in, and the client's name "cdc/<name>".
	Name string
	Host string
	// Port 0 is the protocol's own: 8123 and 9000, with TLS 8443 and 9440.
	Port     int
	Protocol Protocol
	// Database holds cdc_progress, cdc_quarantine and the targets that name no schema; "" is "default".
	Database string
	User     string
	Password string
	TLS      TLS
	OnPoison sinks.OnPoison
	Observer sinks.Observer
	// Memory bounds the bytes of a batch's rows held at a time; a batch that holds more goes through tables of
	// its own at the destination. 0 is 64 MiB.
	Memory int
	// BlockRows bounds the rows of one block; 0 is 100,000. A batch with more rows of a table is several blocks.
	BlockRows int
	// Timeout bounds one statement; 0 is 5 minutes.
	Timeout time.Duration
	// ConnectTimeout bounds one attempt to connect; 0 is 10 s.
	ConnectTimeout time.Duration
	// NoSync leaves the moment when blocks reach the disk to the server. Then a power cut there may lose rows
	// whose progress survives, and nothing tells.
	NoSync bool
	// Tables holds settings of tables that are created, by destination name; "" is all others.
	Tables map[string]TableSettings
}

// TableSettings change how a table is created. Neither changes what it holds.
type TableSettings struct {
	// OrderBy are the key columns in the order of the sorting key; empty: the key's own order.
	OrderBy []string
	// PartitionBy is an expression over key columns; empty: one partition. Versions of a key in several
	// partitions would never be merged, so other columns are refused. A block with rows of several partitions
	// becomes visible partition by partition.
	PartitionBy string
	// Settings are appended to the table's SETTINGS, "name = value".
	Settings []string
}

// TLS says how the connection is protected.
type TLS struct {
	// Mode is disable, require (encrypted, server not checked), verify-ca or verify-full; "" is verify-full.
	Mode string
	// CA, Cert and Key are PEM files; without CA the system's authorities count.
	CA, Cert, Key string
	// ServerName overrides the host that verify-full checks.
	ServerName string
}

const (
	defaultMemory         = 64 << 20
	defaultBlockRows      = 100_000
	defaultTimeout        = 5 * time.Minute
	defaultConnectTimeout = 10 * time.Second
)

func (c Config) withDefaults() Config {
	if c.Database == "" {
		c.Database = "default"
	}
	if c.Protocol == "" {
		c.Protocol = HTTP
	}
	if c.Port == 0 {
		c.Port = defaultPort(c.Protocol, c.TLS.Mode != "disable")
	}
	if c.Memory == 0 {
		c.Memory = defaultMemory
	}
	if c.BlockRows == 0 {
		c.BlockRows = defaultBlockRows
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = defaultConnectTimeout
	}
	return c
}

func defaultPort(p Protocol, encrypted bool) int {
	switch {
	case p == Native && encrypted:
		return 9440
	case p == Native:
		return 9000
	case encrypted:
		return 8443
	}
	return 8123
}

func (c Config) validate() error {
	var errs []error
	for _, f := range [...]struct{ name, value string }{{"name", c.Name}, {"host", c.Host}, {"user", c.User}} {
		if f.value == "" {
			errs = append(errs, fmt.Errorf("%s is empty", f.name))
		}
	}
	if c.Protocol != HTTP && c.Protocol != Native {
		errs = append(errs, fmt.Errorf("protocol %q is neither http nor native", c.Protocol))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("configure clickhouse sink %q: %w", c.Name, err)
	}
	return nil
}

// options are the driver's settings.
func (c Config) options() (*ch.Options, error) {
	o := &ch.Options{
		Protocol:    ch.HTTP,
		Addr:        []string{net.JoinHostPort(c.Host, strconv.Itoa(c.Port))},
		Auth:        ch.Auth{Database: c.Database, Username: c.User, Password: c.Password},
		DialTimeout: c.ConnectTimeout,
		ReadTimeout: c.Timeout,
		Compression: &ch.Compression{Method: ch.CompressionLZ4},
		ClientInfo: ch.ClientInfo{Products: []struct{ Name, Version string }{
			{Name: "cdc/" + c.Name, Version: "1"},
		}},
		MaxOpenConns: 2, MaxIdleConns: 1,
		Settings: ch.Settings{
			// An insert that is answered must be in the table.
			"async_insert": 0,
			// NULL equals NULL in keys.
			"transform_null_in": 1,
			// One block stays one part: only what passes these is cut.
			"max_insert_block_size": wholeBlock, "min_insert_block_size_rows": wholeBlock,
			"max_insert_threads": 1,
			"max_query_size":     16 << 20,
		},
	}
	if c.Protocol == Native {
		o.Protocol = ch.Native
	} else {
		// A statement that fails late says so by its status, not in the middle of an answer.
		o.Settings["wait_end_of_query"] = 1
	}
	var err error
	if o.TLS, err = c.tlsConfig(); err != nil {
		return nil, fmt.Errorf("configure TLS of clickhouse sink %q: %w", c.Name, err)
	}
	return o, nil
}

// wholeBlock is ClickHouse's own default of the most rows that an insert writes as one part.
const wholeBlock = 1_048_449

func (c Config) tlsConfig() (*tls.Config, error) {
	if c.TLS.Mode == "disable" {
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
	switch c.TLS.Mode {
	case "", "verify-full":
	case "require":
		t.InsecureSkipVerify = true // what the operator asked for by name: encrypted, not authenticated
	case "verify-ca":
		t.InsecureSkipVerify = true // the name is not checked, the chain is, below
		t.VerifyConnection = verifyChain(t.RootCAs)
	default:
		return nil, fmt.Errorf("mode %q is none of disable, require, verify-ca, verify-full", c.TLS.Mode)
	}
	return t, nil
}

func verifyChain(roots *x509.CertPool) func(tls.ConnectionState) error {
	return func(cs tls.ConnectionState) error {
		opts := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
		for _, cert := range cs.PeerCertificates[1:] {
			opts.Intermediates.AddCert(cert)
		}
		_, err := cs.PeerCertificates[0].Verify(opts)
		return err
	}
}
