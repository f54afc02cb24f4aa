package embedded

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// keptVersion is the version of kfake's files that this code knows.
const keptVersion = 1

// partition is one partition's folder as a crash left it.
type partition struct {
	dir     string
	kept    []kept
	end     int64 // offset of the next record
	epoch   int32
	maxTime int64
	created int64
	open    map[int64]transaction // by producer id
	aborted []aborted
}

// kept is one segment file.
type kept struct {
	base, size         int64
	minEpoch, maxEpoch int32
	index              []byte
}

type transaction struct {
	producer    producer
	first, last int64
	maxTime     int64
}

type aborted struct{ id, first, last int64 }

// ending says how a transaction ended, as far as some partition knows it.
type ending struct {
	commit bool
	millis int64
}

// recoverFolder mends what a crash left, before kfake reads it. kfake writes the markers of a commit to one
// partition after the other and takes a partition without one for aborted: a commit torn so would leave a
// progress record without its data. Here a transaction that is committed anywhere becomes so everywhere,
// and one that is not is aborted everywhere. The index files, which may lag, are made to fit, and a snapshot is
// written for each partition, so that kfake need not hold the whole log to understand it.
func recoverFolder(dir string, log *slog.Logger) error {
	if ok, err := known(dir); err != nil || !ok {
		return err
	}
	// It would bring back transactions that were open at an orderly stop; their writer is gone.
	if err := os.Remove(filepath.Join(dir, "session_state.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("drop the sessions: %w", err)
	}
	names, err := os.ReadDir(filepath.Join(dir, "partitions"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list partitions: %w", err)
	}
	var crashed []*partition
	ended := map[producer]ending{}
	for _, n := range names {
		p := &partition{dir: filepath.Join(dir, "partitions", n.Name()), open: map[int64]transaction{}}
		clean, err := p.read(ended)
		if err != nil {
			return fmt.Errorf("partition %s: %w", n.Name(), err)
		}
		if !clean {
			crashed = append(crashed, p)
		}
	}
	for _, p := range crashed {
		if err := p.mend(ended, log); err != nil {
			return fmt.Errorf("partition %s: %w", filepath.Base(p.dir), err)
		}
	}
	return nil
}

// known reports whether the folder holds a log that this code knows; an empty one has nothing to mend.
func known(dir string) (bool, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "meta.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the log's version: %w", err)
	}
	var meta struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(raw, &meta); err != nil {
		return false, fmt.Errorf("read the log's version in meta.json: %w", err)
	}
	if meta.Version != keptVersion {
		return false, fmt.Errorf("the log has version %d, this build knows %d: run the version of cdc that wrote it, or start with an empty folder (all tables are then read again)", meta.Version, keptVersion)
	}
	return true, nil
}

// read scans the partition. It is clean if nothing was written since an orderly stop.
func (p *partition) read(ended map[producer]ending) (clean bool, err error) {
	bases, err := segments(p.dir)
	if err != nil {
		return false, err
	}
	if len(bases) == 0 || p.untouched(bases) {
		return true, nil
	}
	for i, base := range bases {
		k := kept{base: base}
		p.end = max(p.end, base)
		whole, size, err := scanSegment(dataFile(p.dir, base), func(b batch, commit bool) { p.add(&k, b, commit, ended) })
		if err != nil {
			return false, err
		}
		k.size = whole
		p.kept = append(p.kept, k)
		if whole < size {
			return false, p.cut(k, bases[i+1:])
		}
	}
	return false, nil
}

// cut removes what follows the last whole batch. After kill -9 that is at most one batch; after a power cut
// whole segments may follow a hole. They go too: whoever needs them finds the log too short, and heals.
func (p *partition) cut(k kept, later []int64) error {
	if err := os.Truncate(dataFile(p.dir, k.base), k.size); err != nil {
		return fmt.Errorf("cut a torn batch: %w", err)
	}
	for _, base := range later {
		if err := errors.Join(os.Remove(dataFile(p.dir, base)), os.RemoveAll(indexFile(p.dir, base))); err != nil {
			return fmt.Errorf("drop what follows a torn batch: %w", err)
		}
	}
	return nil
}

func (p *partition) add(k *kept, b batch, commit bool, ended map[producer]ending) {
	if p.created == 0 {
		p.created = b.maxTime
	}
	p.maxTime = max(p.maxTime, b.maxTime)
	if len(k.index) == 0 {
		k.minEpoch, k.maxEpoch = b.leaderEpoch, b.leaderEpoch
	}
	k.minEpoch, k.maxEpoch = min(k.minEpoch, b.leaderEpoch), max(k.maxEpoch, b.leaderEpoch)
	k.index = appendIndex(k.index, b, p.maxTime)
	p.end, p.epoch = b.last+1, b.leaderEpoch
	switch {
	case b.inTx:
		t, ok := p.open[b.producer.id]
		if !ok {
			t = transaction{first: b.first}
		}
		t.producer, t.last, t.maxTime = b.producer, b.last, max(t.maxTime, b.maxTime)
		p.open[b.producer.id] = t
	case b.control:
		ended[b.producer] = ending{commit: commit, millis: b.maxTime}
		p.close(b.producer.id, commit, b.first)
	}
}

// close notes that the open transaction of a producer ended here.
func (p *partition) close(id int64, commit bool, at int64) {
	if t, ok := p.open[id]; ok && !commit {
		p.aborted = append(p.aborted, aborted{id: id, first: t.first, last: at})
	}
	delete(p.open, id)
}

// mend ends what is open, and writes index and snapshot.
func (p *partition) mend(ended map[producer]ending, log *slog.Logger) error {
	for _, id := range sortedIDs(p.open) {
		t := p.open[id]
		e, ok := ended[t.producer]
		// The time tells a transaction from an earlier one under the same epoch, as old clients make them.
		commit := ok && e.commit && e.millis >= t.maxTime
		if err := p.finish(t, commit, ended); err != nil {
			return err
		}
		log.Info(fmt.Sprintf("ended a transaction that a crash left open: %s, offsets %d to %d, committed %t", filepath.Base(p.dir), t.first, t.last, commit))
	}
	for _, k := range p.kept {
		path := indexFile(p.dir, k.base)
		if was, err := os.ReadFile(path); err == nil && bytes.Equal(was, k.index) {
			continue
		}
		if err := os.WriteFile(path, k.index, 0o600); err != nil {
			return fmt.Errorf("write index: %w", err)
		}
	}
	return p.writeSnapshot()
}

// finish appends the marker of one transaction to the newest segment.
func (p *partition) finish(t transaction, commit bool, ended map[producer]ending) error {
	k := &p.kept[len(p.kept)-1]
	at := p.end
	raw := marker(t.producer, commit, at, p.epoch, time.Now())
	f, err := os.OpenFile(dataFile(p.dir, k.base), os.O_WRONLY|os.O_APPEND, 0)
	if err == nil {
		_, err = f.Write(raw)
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err != nil {
		return fmt.Errorf("end a transaction that a crash left open: %w", err)
	}
	b, ok := decodeHeader(raw)
	if !ok {
		return fmt.Errorf("end a transaction that a crash left open: the marker of producer %d does not decode", t.producer.id)
	}
	k.size += b.size
	p.add(k, b, commit, ended)
	return nil
}

func sortedIDs(m map[int64]transaction) []int64 {
	ids := make([]int64, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
