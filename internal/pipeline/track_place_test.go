package pipeline

import (
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/telemetry"
	"github.com/etlsandbox/cdc/schemas/change"
)

// TestSourceLag: an idle source is not lagged behind, however old its newest transaction is; one that is not heard of
// is.
func TestSourceLag(t *testing.T) {
	const patience = 15 * time.Second
	tr := NewTracker(telemetry.NewMetrics(telemetry.Build{}))
	now := time.Now()
	if lag := tr.SourceLag(now, patience); lag != 0 {
		t.Errorf("before anything was read: %s", lag)
	}
	hour := now.Add(-time.Hour)
	tr.read.note(Committed{Kind: change.Changes, CommitMicros: hour.UnixMicro()}, now)
	if lag := tr.SourceLag(now, patience); lag.Round(time.Second) != time.Hour {
		t.Errorf("the log of an hour ago was read now: %s", lag)
	}
	tr.read.note(Committed{Kind: change.Chunk}, now.Add(time.Second))
	if lag := tr.SourceLag(now, patience); lag.Round(time.Second) != time.Hour {
		t.Errorf("a chunk says nothing of the log: %s", lag)
	}
	now = now.Add(5 * time.Second)
	tr.read.note(Committed{Kind: change.Idle}, now)
	if lag := tr.SourceLag(now.Add(4*time.Second), patience); lag != 0 {
		t.Errorf("the log has nothing more: %s", lag)
	}
	if lag := tr.SourceLag(now.Add(time.Minute), patience); lag != time.Minute {
		t.Errorf("nothing was heard for a minute: %s", lag)
	}
}
