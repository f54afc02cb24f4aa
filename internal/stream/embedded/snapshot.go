package embedded

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// snapshot is what kfake writes for a partition when it stops in order, and believes at start if the
// segment files still have the sizes that it names.
type snapshot struct {
	Version          int               `json:"version"`
	HighWatermark    int64             `json:"high_watermark"`
	LastStableOffset int64             `json:"last_stable_offset"`
	LogStartOffset   int64             `json:"log_start_offset"`
	Epoch            int32             `json:"epoch"`
	MaxTimestamp     int64             `json:"max_timestamp"`
	CreatedAt        time.Time         `json:"created_at"`
	AbortedTxns      []snapshotAborted `json:"aborted_txns,omitempty"`
	Segments         []snapshotSegment `json:"segments"`
}

type snapshotAborted struct {
	ProducerID  int64 `json:"producer_id"`
	FirstOffset int64 `json:"first_offset"`
	LastOffset  int64 `json:"last_offset"`
}

type snapshotSegment struct {
	BaseOffset int64 `json:"base_offset"`
	Size       int64 `json:"size"`
	MinEpoch   int32 `json:"min_epoch,omitempty"`
	MaxEpoch   int32 `json:"max_epoch,omitempty"`
}

const snapshotFile = "snapshot.json"

// untouched reports whether the partition's snapshot names exactly the segments that are there.
func (p *partition) untouched(bases []int64) bool {
	raw, err := os.ReadFile(filepath.Join(p.dir, snapshotFile))
	if err != nil {
		return false
	}
	var s snapshot
	if err := json.Unmarshal(raw, &s); err != nil || s.Version != keptVersion || len(s.Segments) != len(bases) {
		return false
	}
	for i, base := range bases {
		info, err := os.Stat(dataFile(p.dir, base))
		if err != nil || s.Segments[i].BaseOffset != base || s.Segments[i].Size != info.Size() {
			return false
		}
	}
	return s.LastStableOffset == s.HighWatermark // else a transaction was open: kfake would bring it back
}

func (p *partition) writeSnapshot() error {
	s := snapshot{
		Version: keptVersion, HighWatermark: p.end, LastStableOffset: p.end, LogStartOffset: p.kept[0].base,
		Epoch: p.epoch, MaxTimestamp: p.maxTime, CreatedAt: time.UnixMilli(p.created).UTC(),
	}
	for _, a := range p.aborted {
		s.AbortedTxns = append(s.AbortedTxns, snapshotAborted{ProducerID: a.id, FirstOffset: a.first, LastOffset: a.last})
	}
	for _, k := range p.kept {
		s.Segments = append(s.Segments, snapshotSegment{BaseOffset: k.base, Size: k.size, MinEpoch: k.minEpoch, MaxEpoch: k.maxEpoch})
	}
	raw, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	path := filepath.Join(p.dir, snapshotFile)
	if err := os.WriteFile(path+".new", raw, 0o600); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return nil
}
