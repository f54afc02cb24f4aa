// Package kafka implements stream's Producer and Log over franz-go, for any Kafka 3.x or 4.x and for the
// embedded broker, and creates and checks topics.
package kafka

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Config says how to reach the brokers. Only Brokers is required.
type Config struct {
	// Brokers are addresses (host:port) to begin with.
	Brokers []string
	// TLS turns TLS on; nil is plain TCP.
	TLS *tls.Config
	// SASL authenticates; the zero value does not.
	SASL SASL
	// ClientID is what the broker's logs show. Default "cdc".
	ClientID string
	// Log gets the client's warnings and errors. Default: none.
	Log *slog.Logger
}

// SASL is how to authenticate.
type SASL struct {
	// Mechanism is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; "" is none.
	Mechanism      string
	User, Password string
}

// fetchVersion is the newest version of Fetch that names topics instead of their ids; Kafka 2.7 to 4.x
// speak it.
const fetchVersion = 12

func (c Config) options(more ...kgo.Opt) ([]kgo.Opt, error) {
	if len(c.Brokers) == 0 {
		return nil, fmt.Errorf("connect to Kafka: no brokers are configured (set broker.brokers)")
	}
	if c.ClientID == "" {
		c.ClientID = "cdc"
	}
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(1, fetchVersion)
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...), kgo.ClientID(c.ClientID), kgo.MaxVersions(versions),
		kgo.DisableClientMetrics(), kgo.MetadataMinAge(100 * time.Millisecond), kgo.DialTimeout(10 * time.Second),
	}
	if c.Log != nil {
		opts = append(opts, kgo.WithLogger(logger{c.Log}))
	}
	if c.TLS != nil {
		opts = append(opts, kgo.DialTLSConfig(c.TLS.Clone()))
	}
	m, err := c.SASL.mechanism()
	if err != nil {
		return nil, err
	}
	if m != nil {
		opts = append(opts, kgo.SASL(m))
	}
	return append(opts, more...), nil
}

func (s SASL) mechanism() (sasl.Mechanism, error) {
	switch s.Mechanism {
	case "":
		return nil, nil
	case "PLAIN":
		return plain.Auth{User: s.User, Pass: s.Password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: s.User, Pass: s.Password}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: s.User, Pass: s.Password}.AsSha512Mechanism(), nil
	}
	return nil, fmt.Errorf("connect to Kafka: SASL mechanism %q is unknown (use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512)", s.Mechanism)
}

// connect makes a client; no connection is opened yet.
func (c Config) connect(more ...kgo.Opt) (*kgo.Client, error) {
	opts, err := c.options(more...)
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to Kafka at %v: %w", c.Brokers, err)
	}
	return cl, nil
}

// Ping returns nil once a broker answers.
func (c Config) Ping(ctx context.Context) error {
	cl, err := c.connect()
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := cl.Ping(ctx); err != nil {
		return fmt.Errorf("connect to Kafka at %v: %w", c.Brokers, err)
	}
	return nil
}

// logger hands the client's warnings and errors to slog.
type logger struct{ *slog.Logger }

// Level is kgo's.
func (logger) Level() kgo.LogLevel { return kgo.LogLevelWarn }

// Log is kgo's.
func (l logger) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	to := slog.LevelInfo
	switch level {
	case kgo.LogLevelError:
		to = slog.LevelError
	case kgo.LogLevelWarn:
		to = slog.LevelWarn
	}
	// The client's keys are its own: what they say is part of the message, but for the error.
	var attrs []slog.Attr
	text := "kafka client: " + msg
	for i := 0; i+1 < len(keyvals); i += 2 {
		if keyvals[i] == "err" {
			attrs = append(attrs, slog.Any("err", keyvals[i+1]))
			continue
		}
		text += fmt.Sprintf(", %v %v", keyvals[i], keyvals[i+1])
	}
	l.LogAttrs(context.Background(), to, text, attrs...)
}
