// Package sqlserver delivers streams to SQL Server 2017 or later, and to Azure SQL.
//
// A Batch is one transaction: the stream's row in cdc_progress is taken first, rows are sent by bulk load into a
// temporary table of the session and applied set by set (DELETE, UPDATE … FROM, INSERT … WHERE NOT EXISTS), and
// the Mark moves with them. A batch of few events that asks for nothing else is one message, which holds all of that
// and the rows as parameters. Every text that is sent lives in sql/, one file per purpose; testdata/rendered holds
// each as it reaches the server.
//
// Rights. The login needs a user in the database with these grants and no more; Prepare checks them and names the
// one that is missing:
//
//	GRANT CREATE TABLE TO [cdc];
//	GRANT SELECT, INSERT, UPDATE, DELETE, ALTER ON SCHEMA::[dbo] TO [cdc];
//
// SQL Server compares text as if the shorter one were padded with spaces, under every collation, and binary
// strings as if padded with zeros. Two keys of the source that differ in nothing else cannot both be stored: the
// later one is poison, with that reason.
package sqlserver

import (
	"errors"
	"fmt"
	"time"

	mssql "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/msdsn"

	"github.com/etlsandbox/cdc/sinks"
)

// Config says where and how to deliver.
type Config struct {
	// Name of the sink: the reader whose covers it takes part in, and program_name "cdc/<name>".
	Name string
	// Host is a name or an address. Port 0 is 1433.
	Host     string
	Port     int
	Database string
	// Schema holds cdc_progress, cdc_quarantine and the targets that name none; "" is "dbo".
	Schema   string
	User     string
	Password string
	TLS      TLS
	OnPoison sinks.OnPoison
	Observer sinks.Observer
	// Warn is told, at Prepare, of what works and could be better, with the line that mends it. Nil is allowed.
	Warn func(text string)
	// Memory bounds the bytes of a batch's rows held at a time; 0 is 32 MiB.
	Memory int
	// LockTimeout bounds the wait for a lock before the batch is tried again; 0 is 30 s.
	LockTimeout time.Duration
	// ConnectTimeout bounds one attempt to connect; 0 is 10 s.
	ConnectTimeout time.Duration
}

const (
	defaultMemory         = 32 << 20
	defaultLockTimeout    = 30 * time.Second
	defaultConnectTimeout = 10 * time.Second
	defaultPort           = 1433
	packetSize            = 16383 // bytes, the most that is possible under TLS: fewer packets for a bulk load
)

func (c Config) withDefaults() Config {
	if c.Schema == "" {
		c.Schema = "dbo"
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
	if c.Port < 0 || c.Port > 65535 {
		errs = append(errs, fmt.Errorf("port %d is none", c.Port))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("configure sqlserver sink %q: %w", c.Name, err)
	}
	return nil
}

// connector builds the driver's settings from the configuration alone.
func (c Config) connector() (*mssql.Connector, error) {
	p := msdsn.Config{
		Host: c.Host, Port: uint64(c.Port), Database: c.Database, User: c.User, Password: c.Password,
		AppName: "cdc/" + c.Name, DialTimeout: c.ConnectTimeout, KeepAlive: 15 * time.Second, PacketSize: packetSize,
		Protocols: []string{"tcp"}, DisableRetry: true, Parameters: map[string]string{},
		Encoding: msdsn.EncodeParameters{Timezone: time.UTC},
	}
	t, err := c.tlsConfig()
	if err != nil {
		return nil, fmt.Errorf("configure TLS of sqlserver sink %q: %w", c.Name, err)
	}
	p.Encryption, p.TLSConfig = msdsn.EncryptionDisabled, t
	if t != nil {
		p.Encryption, p.HostInCertificateProvided = msdsn.EncryptionRequired, true
		p.TrustServerCertificate = t.InsecureSkipVerify
	}
	k := mssql.NewConnectorConfig(p)
	k.SessionInitSQL = sessionSQL.with("lock_timeout", fmt.Sprint(c.LockTimeout.Milliseconds()))
	return k, nil
}
