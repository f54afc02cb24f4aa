package stream

import (
	"context"
	"fmt"
	"time"
)

// patience remembers since when something at one place of the log is not as it must be.
type patience struct {
	r         *Reader
	topic     string
	partition int32
	offset    int64
	since     time.Time
	alarms    int
	set       bool
}

// start notes the place, and returns how long it has been waited for.
func (w *patience) start(topic string, partition int32, offset int64) time.Duration {
	now := w.r.cfg.Now()
	if !w.set || w.topic != topic || w.partition != partition || w.offset != offset {
		*w = patience{r: w.r, topic: topic, partition: partition, offset: offset, since: now, set: true}
	}
	return now.Sub(w.since)
}

// wait reports whether a log that ends too early may still be given time.
func (w *patience) wait(topic string, partition int32, offset int64) bool {
	return w.r.cfg.Grace > 0 && w.start(topic, partition, offset) < w.r.cfg.Grace
}

func (w *patience) clear() { *w = patience{r: w.r} }

// stall waits a little for a range that cannot be read yet, and raises the alarm when it is time.
func (r *Reader) stall(ctx context.Context, topic string, partition int32, next int64, b Bounds) error {
	if d := r.late.start(topic, partition, next); d >= r.cfg.Alarm*time.Duration(r.late.alarms+1) {
		r.late.alarms++
		r.cfg.OnStalled(Stalled{Topic: topic, Partition: partition, Next: next, Stable: b.Stable, For: d})
	}
	// A read at the last stable offset returns as soon as something becomes readable.
	if _, err := r.log.Read(ctx, []Want{{Topic: topic, Partition: partition, From: b.Stable, MaxBytes: 1}}, pollWait); err != nil {
		return fmt.Errorf("wait for %s[%d] at offset %d: %w", topic, partition, b.Stable, err)
	}
	return nil
}

// pause waits a little at the end of a log that ends too early.
func (r *Reader) pause(ctx context.Context, topic string, end int64) error {
	if _, err := r.log.Read(ctx, []Want{{Topic: topic, From: end, MaxBytes: 1}}, pollWait); err != nil {
		return fmt.Errorf("wait for %s at offset %d: %w", topic, end, err)
	}
	return nil
}
