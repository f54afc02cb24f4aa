package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/etlsandbox/cdc/internal/pipeline"
	"github.com/etlsandbox/cdc/internal/stream/embedded"
	"github.com/etlsandbox/cdc/internal/stream/kafka"
	"github.com/etlsandbox/cdc/schemas/change"
)

// broker starts the embedded broker, or says how to reach Kafka.
func (s *service) broker(ctx context.Context) (client kafka.Config, closeIt func(), err error) {
	b := &s.cfg.Broker
	log := s.log.With("stage", "broker")
	if b.Type != "embedded" {
		client, err = kafkaClient(b, log)
		if err != nil {
			return client, nil, withStatus(exitUnknown, err)
		}
		return client, sampled(s.watchKafka(ctx, client)), nil
	}
	s.embedded, err = embedded.Open(ctx, embedded.Config{
		Dir: filepath.Join(s.cfg.DataDir, "broker"), Listen: b.Listen, MaxBytes: int64(b.RetentionBytes), MaxAge: b.Retention, Log: log,
		MaxMessageBytes: int(s.cfg.Topics.MaxMessageBytes) + 1<<20,
	})
	if err != nil {
		return client, nil, withStatus(exitUnknown, err)
	}
	stop := sampled(func() { s.metrics.Broker.DiskBytes.Set(float64(s.embedded.DiskBytes())) })
	return s.embedded.Client(), func() {
		stop()
		if err := s.embedded.Close(); err != nil {
			log.Warn("broker not closed cleanly", "err", err)
		}
	}, nil
}

// watchKafka returns a function that asks whether Kafka is there, for what the daemon says of itself: its stages, which
// try again by themselves, give up much later.
func (s *service) watchKafka(ctx context.Context, client kafka.Config) func() {
	const patience = 3 * time.Second
	client.Log = nil // the stages' own connections tell the log
	return func() {
		ask, stop := context.WithTimeout(ctx, patience)
		defer stop()
		err := client.Ping(ask)
		if ctx.Err() != nil {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.kafkaGone = err
	}
}

// tendBroker trims the embedded broker and watches its disk.
func (s *service) tendBroker(ctx context.Context) error {
	if err := s.embedded.Run(ctx); err != nil {
		return &pipeline.StopError{What: "the embedded broker's disk failed", Err: err,
			Hint: fmt.Sprintf("free space on data_dir %s, or mend its disk, and start again", s.cfg.DataDir)}
	}
	return nil
}

// keepBroker says which streams the embedded broker trims, and behind whom. A reader whose place is not
// known yet holds everything, up to the ceiling.
func (s *service) keepBroker() error {
	if s.embedded == nil {
		return nil
	}
	raw := s.cfg.Name
	durable, rawFloor, viewFloor := s.durable, s.rawFloor, s.viewFloor
	err := s.embedded.Keep(embedded.Stream{Name: s.cfg.Name, MetaFloor: rawFloor, Marks: func() []change.Mark {
		marks := s.sinkMarks(raw)
		if durable != nil {
			marks = append(marks, durable())
		}
		return marks
	}})
	if err != nil || viewFloor == nil {
		return err
	}
	return s.embedded.Keep(embedded.Stream{Name: s.viewStream(), MetaFloor: viewFloor, Marks: func() []change.Mark { return s.sinkMarks(s.viewStream()) }})
}

// sinkMarks are the places in a stream of the destinations that are delivered to, paused ones included; one
// that stopped for good is not waited for.
func (s *service) sinkMarks(stream string) []change.Mark {
	states := s.sinkStates()
	var marks []change.Mark
	for _, name := range sortedNames(s.settings().Sinks) {
		if st := states[name]; st.State == "stopped" {
			continue
		}
		for _, p := range s.track.Sink(name) {
			if p.Stream == stream && p.Stopped == nil {
				marks = append(marks, p.Mark)
			}
		}
	}
	return marks
}

func (s *service) sinkStates() map[string]pipeline.StageState {
	out := map[string]pipeline.StageState{}
	for _, st := range s.sup.States() {
		if st.Sink != "" {
			out[st.Sink] = st
		}
	}
	return out
}

// pace is the least time between two commits: it grows as the embedded broker fills with what readers have not applied.
func (s *service) pace() time.Duration {
	if s.embedded == nil {
		return 0
	}
	return embedded.Pace(s.embedded.Fill())
}

// holdCovers makes covers wait while a running destination has half of the broker before it; one that is
// down is not waited for.
func (s *service) holdCovers() bool {
	if s.embedded == nil || s.embedded.FillNow(context.Background()) < embedded.HalfFull {
		return false
	}
	for _, st := range s.sinkStates() {
		if st.State != "running" {
			return false
		}
	}
	return true
}
