package main

import (
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/pipeline"
	"github.com/etlsandbox/cdc/schemas/change"
)

func TestRetention(t *testing.T) {
	now := time.Unix(100_000, 0)
	behind := func(age time.Duration) pipeline.SinkProgress {
		return pipeline.SinkProgress{Mark: change.Mark{Seq: 5}, At: now.Add(-age)}
	}
	newest := pipeline.StreamProgress{Mark: change.Mark{Seq: 9}}
	tests := []struct {
		name string
		p    pipeline.SinkProgress
		fill float64
		left time.Duration
		warn bool
	}{
		{"has everything", pipeline.SinkProgress{Mark: newest.Mark, At: now.Add(-9 * time.Hour)}, 1, 10 * time.Hour, false},
		{"an hour behind", behind(time.Hour), 0, 9 * time.Hour, false},
		{"nine of ten hours behind", behind(9 * time.Hour), 0, time.Hour, true},
		{"too late", behind(11 * time.Hour), 0, 0, true},
		{"half of the disk in an hour", behind(time.Hour), 0.5, time.Hour, false},
		{"nine tenths of the disk in nine hours", behind(9 * time.Hour), 0.9, time.Hour, true},
		{"the disk is full", behind(time.Minute), 1, 0, true},
	}
	for _, tt := range tests {
		left, used := retention(tt.p, newest, now, 10*time.Hour, tt.fill)
		if d := left - tt.left; d < -time.Second || d > time.Second || used >= warnRetention != tt.warn {
			t.Errorf("%s: %s left, %.2f used; want %s, warning %v", tt.name, left, used, tt.left, tt.warn)
		}
	}
}
