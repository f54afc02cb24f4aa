package embedded

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/internal/stream/kafka"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// Stream is a stream whose topics the broker holds and trims.
type Stream struct {
	Name string
	// Marks returns the durable Marks of the readers that run: what they have not applied is kept until the
	// ceiling. A reader that is down or paused is not in it.
	Marks func() []change.Mark
	// MetaFloor is the Writer's.
	MetaFloor func() int64
}

// Points are made every so many progress records or data records, or of about a share of the room: what is
// trimmed at once.
const (
	pointRecords = 256
	pointRows    = 50_000
	pointShare   = 32
)

// keeper follows the progress topic of one stream and remembers, coarsely, where its data stands.
type keeper struct {
	stream Stream
	log    *kafka.Log
	next   int64 // offset of the progress topic to go on from
	points []point
	cur    point // not closed yet
	floor  int64 // of the meta topic, as trimmed
	rows   int64 // data records of a point at most; 0 is pointRows
}

// point is a stretch of a stream: everything behind the point before it, up to progress offset at.
type point struct {
	at      int64
	records int
	millis  int64 // when its newest record was written
	ends    map[where]int64
	batches int64 // stored batches, estimated
	rows    int64
}

type where struct {
	topic     string
	partition int32
}

func newKeeper(s Stream, cfg kafka.Config) (*keeper, error) {
	log, err := kafka.NewLog(cfg)
	if err != nil {
		return nil, err
	}
	return &keeper{stream: s, log: log, cur: point{ends: map[where]int64{}}}, nil
}

// follow reads the progress records that are new.
func (k *keeper) follow(ctx context.Context) error {
	topic := stream.ProgressTopic(k.stream.Name)
	for {
		got, err := k.log.Read(ctx, []stream.Want{{Topic: topic, From: k.next, MaxBytes: 1 << 20}}, 0)
		if err != nil {
			return fmt.Errorf("follow %s: %w", topic, err)
		}
		f := got[0]
		switch {
		case f.Next > k.next:
			k.next = f.Next
		case k.next < f.Bounds.Start:
			k.next = f.Bounds.Start
			continue
		default:
			return nil
		}
		for i := range f.Records {
			p, err := wire.DecodeProgress(f.Records[i].Value)
			if err != nil {
				return fmt.Errorf("follow %s at offset %d: %w", topic, f.Records[i].Offset, err)
			}
			k.add(p, f.Records[i].Offset, f.Records[i].Millis)
		}
	}
}

func (k *keeper) add(p *wire.Progress, offset, millis int64) {
	c := &k.cur
	c.at, c.millis = offset, millis
	c.records++
	c.batches += 4 // progress and meta, each with its marker
	for _, q := range p.Parts {
		c.ends[where{q.Topic, q.Partition}] = q.Next
		c.batches += 2 + q.Count/500
		c.rows += q.Count
	}
	c.rows++
	if c.records >= pointRecords || c.rows >= pointRows || k.rows > 0 && c.rows >= k.rows {
		k.points = append(k.points, k.cur)
		k.cur = point{ends: map[where]int64{}}
	}
}

// usage sums up what is kept, and of that what a running reader has not applied yet.
func (k *keeper) usage() (batches, rows, unreadBatches, unreadRows int64) {
	low, bound := k.low()
	for i := range len(k.points) + 1 {
		p := &k.cur
		if i < len(k.points) {
			p = &k.points[i]
		}
		batches += p.batches
		rows += p.rows
		if bound && p.at > low {
			unreadBatches += p.batches
			unreadRows += p.rows
		}
	}
	return batches, rows, unreadBatches, unreadRows
}

// low is the progress offset up to which all running readers have applied; false if none runs.
func (k *keeper) low() (int64, bool) {
	marks := k.stream.Marks()
	if len(marks) == 0 {
		return 0, false
	}
	low := marks[0].Offset
	for _, m := range marks[1:] {
		low = min(low, m.Offset)
	}
	return low, true
}

// behind reports whether the oldest point lies before every running reader's Mark. The record that a Mark
// stands at is kept: the reader has to find it.
func (k *keeper) behind() bool {
	low, bound := k.low()
	return bound && len(k.points) > 0 && k.points[0].at < low
}

// trim drops the oldest point: its data first, so that no data is left that no record speaks of.
func (k *keeper) trim(ctx context.Context) error {
	p := k.points[0]
	parts := make([]wire.Part, 0, len(p.ends)+1)
	for w, end := range p.ends {
		parts = append(parts, wire.Part{Topic: w.topic, Partition: w.partition, Next: end})
	}
	if err := k.log.Trim(ctx, parts); err != nil {
		return err
	}
	if err := k.log.Trim(ctx, []wire.Part{{Topic: stream.ProgressTopic(k.stream.Name), Next: p.at + 1}}); err != nil {
		return err
	}
	k.points = slices.Delete(k.points, 0, 1)
	return nil
}

// trimMeta drops meta records that are superseded.
func (k *keeper) trimMeta(ctx context.Context) error {
	floor := k.stream.MetaFloor()
	if floor <= k.floor {
		return nil
	}
	if err := k.log.Trim(ctx, []wire.Part{{Topic: stream.MetaTopic(k.stream.Name), Next: floor}}); err != nil {
		return err
	}
	k.floor = floor
	return nil
}

// Keep makes Run trim the topics of a stream, which must exist. Calling it again for a stream replaces
// what was said before.
func (b *Broker) Keep(s Stream) error {
	k, err := newKeeper(s, b.Client())
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.keepers = slices.DeleteFunc(b.keepers, func(o *keeper) bool {
		if o.stream.Name != s.Name {
			return false
		}
		o.log.Close()
		return true
	})
	b.keepers = append(b.keepers, k)
	return nil
}

// Fill is how full the broker is with what running readers have not applied yet, from 0 to 1 (a little
// more when trimming is behind): a writer makes its batches wider as it grows.
func (b *Broker) Fill() float64 { return float64(b.fill.Load()) / 1e6 }

// FillNow is Fill, measured anew and after trimming unless that was done a moment ago. Who can write faster than the
// broker is looked after, such as a cover, asks it between two writes.
func (b *Broker) FillNow(ctx context.Context) float64 {
	if time.Since(time.UnixMilli(b.tended.Load())) > fillEvery {
		if err := b.tend(ctx); err != nil && ctx.Err() == nil {
			b.cfg.Log.Warn("trim the embedded broker", "err", err)
		}
	}
	return b.Fill()
}

// fillEvery is how old an answer of FillNow may be.
const fillEvery = 50 * time.Millisecond

// DiskBytes is what its files hold, measured once a second.
func (b *Broker) DiskBytes() int64 { return b.diskSize.Load() }

// tend follows all streams and trims: what all running readers have applied when half of the room is
// used, and anything, oldest first, when all of it is.
func (b *Broker) tend(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer func() { b.tended.Store(time.Now().UnixMilli()) }()
	for _, k := range b.keepers {
		if err := k.follow(ctx); err != nil {
			return err
		}
		if err := k.trimMeta(ctx); err != nil {
			return err
		}
	}
	for {
		use, err := b.measure()
		if err != nil {
			return err
		}
		k := b.oldest(use)
		if k == nil {
			return nil
		}
		if err := k.trim(ctx); err != nil {
			return err
		}
	}
}

// measure updates Fill and returns the share of the room that is used.
func (b *Broker) measure() (float64, error) {
	size, err := folderSize(b.cfg.Dir)
	if err != nil {
		return 0, err
	}
	b.diskSize.Store(size)
	var batches, rows, unreadBatches, unreadRows int64
	for _, k := range b.keepers {
		a, r, ua, ur := k.usage()
		batches, rows, unreadBatches, unreadRows = batches+a, rows+r, unreadBatches+ua, unreadRows+ur
	}
	for _, k := range b.keepers {
		if size > 0 { // rows of the average size that fill their share
			k.rows = max(1, rows*b.cfg.MaxBytes/size/pointShare)
		}
	}
	use := max(float64(batches)/float64(b.cfg.MaxBatches), float64(size)/float64(b.cfg.MaxBytes))
	fill := float64(unreadBatches) / float64(b.cfg.MaxBatches)
	if rows > 0 {
		fill = max(fill, float64(size)/float64(b.cfg.MaxBytes)*float64(unreadRows)/float64(rows))
	}
	b.fill.Store(uint64(fill * 1e6))
	return use, nil
}

// oldest chooses whose oldest point is trimmed next; nil if none is to be. What a running reader needs goes after
// everything else.
func (b *Broker) oldest(use float64) *keeper {
	old := time.Now().Add(-b.cfg.MaxAge).UnixMilli()
	var best *keeper
	bestBehind := false
	for _, k := range b.keepers {
		if len(k.points) == 0 {
			continue
		}
		expired := b.cfg.MaxAge > 0 && k.points[0].millis < old
		behind := k.behind()
		if use < 0.5 && !expired || use < 1 && !expired && !behind {
			continue
		}
		if best == nil || behind && !bestBehind || behind == bestBehind && k.points[0].millis < best.points[0].millis {
			best, bestBehind = k, behind
		}
	}
	return best
}
