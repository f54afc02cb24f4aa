package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/etlsandbox/cdc/internal/pipeline"
	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/internal/stream/kafka"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// letterBox writes the dead letters of one sink. Its topic is made for the first letter, so that a sink
// without any has none.
type letterBox struct {
	s      *service
	client kafka.Config
	sink   string

	mu      sync.Mutex // both streams of a sink write here; guards what follows
	letters *pipeline.Letters
	close   func()
}

func (s *service) letterTopic(sink string) string { return s.settings().Name + "-dlq." + sink }

// Put writes letters and returns when they are durable.
func (b *letterBox) Put(ctx context.Context, letters []pipeline.Letter) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.letters == nil {
		if err := b.open(ctx); err != nil {
			return err
		}
	}
	return b.letters.Put(ctx, letters)
}

func (b *letterBox) open(ctx context.Context) error {
	cfg := b.s.settings()
	topic := b.s.letterTopic(b.sink)
	adm, err := kafka.NewAdmin(b.client)
	if err != nil {
		return err
	}
	defer adm.Close()
	replication := int16(cfg.Broker.ReplicationFactor)
	if cfg.Broker.Type == "embedded" {
		replication = 1
	}
	err = adm.Ensure(ctx, []kafka.Topic{{Name: topic, For: "dead letters of sink " + b.sink, Partitions: 1,
		Retention: cfg.Broker.Retention, MaxMessageBytes: int(cfg.Topics.MaxMessageBytes)}}, replication)
	if err != nil {
		return fmt.Errorf("make the topic of dead letters: %w", err)
	}
	p := kafka.NewProducer(kafka.ProducerConfig{Config: b.client, TransactionalID: "cdc." + cfg.Name + ".dlq." + b.sink,
		MaxRecordBytes: int(cfg.Topics.MaxMessageBytes)})
	b.letters, b.close = &pipeline.Letters{Topic: topic, Producer: p}, p.Close
	return nil
}

// Close gives the connection back.
func (b *letterBox) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.close != nil {
		b.close()
	}
	b.letters, b.close = nil, nil
}

// letter looks in the topic for the newest letter of a refused row; ok is false when the broker has none any
// more.
func (s *service) letter(ctx context.Context, client kafka.Config, sink string, is func(*pipeline.Letter) bool) (found pipeline.Letter, ok bool, err error) {
	log, err := kafka.NewLog(client)
	if err != nil {
		return found, false, err
	}
	defer log.Close()
	topic := s.letterTopic(sink)
	bounds, err := log.Bounds(ctx, []wire.Part{{Topic: topic}})
	if err != nil {
		return found, false, fmt.Errorf("look into %s: %w", topic, err)
	}
	for at := bounds[0].Start; at < bounds[0].Stable; {
		got, err := log.Read(ctx, []stream.Want{{Topic: topic, From: at, MaxBytes: 1 << 20}}, time.Second)
		if err != nil {
			return found, ok, fmt.Errorf("read %s: %w", topic, err)
		}
		for i := range got[0].Records {
			l, err := pipeline.ParseLetter(got[0].Records[i].Value)
			if err != nil {
				return found, ok, err
			}
			if is(&l) {
				found, ok = l, true
			}
		}
		if got[0].Next <= at {
			break
		}
		at = got[0].Next
	}
	return found, ok, nil
}

// keysOf is the range of a refused row's key: by its first column, where ranges over that are possible, else
// everything.
func keysOf(key change.Row, types []change.Type) change.KeyRange {
	if len(key) == 0 || key[0].IsNull() {
		return change.WholeTable()
	}
	if _, ranges := keyForms[types[0].Kind]; !ranges {
		return change.WholeTable()
	}
	r := change.KeyRange{HasLo: true, Lo: change.KeyOf(key[0])}
	if next, ok := nextKey(key[0], types[0]); ok {
		r.Hi, r.HasHi = change.KeyOf(next), true
	}
	return r
}
