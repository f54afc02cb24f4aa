package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	capture "github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/internal/config"
)

// kafkaOptions says how to reach the broker, embedded or not.
func kafkaOptions(b *config.Broker) ([]kgo.Opt, error) {
	opts := []kgo.Opt{kgo.ClientID("cdc")}
	if b.Type == "embedded" {
		return append(opts, kgo.SeedBrokers(b.Listen)), nil
	}
	opts = append(opts, kgo.SeedBrokers(b.Brokers...))
	// The capture's TLS settings mean the same things; franz-go fills in each broker's name itself.
	t, err := capture.Config{Host: "", TLS: capture.TLS{
		Mode: b.TLS.Mode, CA: b.TLS.CA, Cert: b.TLS.Cert, Key: b.TLS.Key, ServerName: b.TLS.ServerName,
	}}.TLSConfig()
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	if t != nil {
		opts = append(opts, kgo.DialTLSConfig(t))
	}
	if b.SASL.User == "" {
		return opts, nil
	}
	user, password := b.SASL.User, b.SASL.Password.Reveal()
	switch b.SASL.Mechanism {
	case "PLAIN":
		return append(opts, kgo.SASL(plain.Auth{User: user, Pass: password}.AsMechanism())), nil
	case "SCRAM-SHA-256":
		return append(opts, kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha256Mechanism())), nil
	case "SCRAM-SHA-512":
		return append(opts, kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha512Mechanism())), nil
	}
	return nil, fmt.Errorf("broker.sasl.mechanism %q is not known", b.SASL.Mechanism)
}

// reachBroker fails at once when no broker answers, instead of trying on and on as the client does.
func reachBroker(ctx context.Context, cl *kgo.Client, b *config.Broker) error {
	if err := cl.Ping(ctx); err != nil {
		at := strings.Join(b.Brokers, ", ")
		way := "see broker.brokers"
		if b.Type == "embedded" {
			at, way = b.Listen, "the embedded broker runs inside `cdc run`: start that first"
		}
		return fmt.Errorf("reach the broker at %s: %w (%s)", at, err, way)
	}
	return nil
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
