// Package verify compares what a destination shows of a view with the source's own answer to the view's
// SQL, while writes go on. A difference counts only if it is seen again once the destination shows a state
// behind the source's first answer, the source's row being the same; a row that never holds still is
// unsettled, never equal.
package verify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"time"

	"github.com/etlsandbox/cdc/cdc/snapshot"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// Source answers a view's SQL.
type Source interface {
	PlanQuery(ctx context.Context, q snapshot.Query, from change.KeyRange, limit int) (change.KeyRange, error)
	ReadQuery(ctx context.Context, q snapshot.Query, rng change.KeyRange) (snapshot.Chunk, error)
}

// Destination tells what it shows.
type Destination interface {
	// Range reads rows in a key range, and where in the source they stand, in one snapshot.
	Range(ctx context.Context, stream string, t sinks.Target, rng change.KeyRange) ([]change.Row, change.Position, error)
	// Shown returns where in the source what it shows of a table stands.
	Shown(ctx context.Context, stream, table string) (change.Position, error)
	// Quarantined returns the keys that it withholds, as sinks.FormatKey prints them.
	Quarantined(ctx context.Context, stream, table string) (map[string]bool, error)
}

// Places compares positions of the source.
type Places interface {
	Contains(have, want change.Position) (bool, error)
}

// Digester is a Destination that computes the digest of a range itself: rows that are equal then stay where they are.
type Digester interface {
	// Digest is the digest of the rows that the target shows in a key range, and where in the source they stand.
	Digest(ctx context.Context, stream string, t sinks.Target, rng change.KeyRange) (sinks.Digest, change.Position, error)
}

// Config of a comparison of one view at one destination.
type Config struct {
	Stream string
	Target sinks.Target
	SQL    string // what the source is asked
	// Shape, unless nil, is that of the source's answer, where the destination's columns have other names.
	Shape *change.Table
	// Base, unless nil, is the table whose first primary key column is the view's first key column.
	Base *change.Table
	// Keys restricts the comparison; the zero range is everything.
	Keys change.KeyRange
	// ChunkRows is about how many rows are held at once.
	ChunkRows int
	// Attempts is how often a row that does not hold still is looked at again.
	Attempts int
	// Pace is told the rows read and waits as long as is configured; nil does not wait.
	Pace func(ctx context.Context, rows int) error
	// Progress is told rows compared and suspects; nil is allowed.
	Progress func(rows, suspect int)
	// Wait is called between two looks at the destination.
	Wait func(ctx context.Context, d time.Duration) error
}

// Difference is a row that differs; a nil row is absent.
type Difference struct {
	Key                 change.Row
	Source, Destination change.Row
	// Unsettled: it never held still, so nothing can be said.
	Unsettled bool
}

// Result of a comparison.
type Result struct {
	Rows        int // that the source's answer has
	Different   int
	Unsettled   int
	Quarantined int
	// Digest is over the source's rows in key order; equal rows give equal digests.
	Digest string
	// At is where in the source the destination stood at the last range.
	At change.Position
	// Differences are the first ones, at most a thousand.
	Differences []Difference
}

// keptDifferences bounds a report; all are counted.
const keptDifferences = 1000

type comparison struct {
	cfg    Config
	src    Source
	dst    Destination
	places Places
	query  snapshot.Query
	held   map[string]bool // quarantined keys
	sum    hash.Hash
	out    Result
}

// Run compares range by range. When ctx ends while rows are not settled, they count as unsettled.
func Run(ctx context.Context, cfg Config, src Source, dst Destination, places Places) (Result, error) {
	if cfg.Attempts == 0 {
		cfg.Attempts = 20
	}
	if cfg.ChunkRows == 0 {
		cfg.ChunkRows = 20000
	}
	if cfg.Shape == nil {
		cfg.Shape = cfg.Target.Table
	}
	c := &comparison{cfg: cfg, src: src, dst: dst, places: places, query: snapshot.Query{SQL: cfg.SQL, Shape: cfg.Shape, Base: cfg.Base}, sum: sha256.New()}
	var err error
	if c.held, err = dst.Quarantined(ctx, cfg.Stream, cfg.Target.From); err != nil {
		return c.out, err
	}
	step := min(firstStep, cfg.ChunkRows)
	for left := cfg.Keys; ; {
		rng, err := src.PlanQuery(ctx, c.query, left, step)
		if err != nil {
			return c.out, err
		}
		before := c.out.Rows
		if err := c.compare(ctx, rng); err != nil {
			return c.out, err
		}
		step = nextStep(step, c.out.Rows-before, cfg.ChunkRows)
		if cfg.Progress != nil {
			cfg.Progress(c.out.Rows, c.out.Different+c.out.Unsettled)
		}
		if !rng.HasHi || left.HasHi && rng.Hi >= left.Hi {
			break
		}
		left.HasLo, left.Lo = true, rng.Hi
	}
	c.out.Digest = hex.EncodeToString(c.sum.Sum(nil))
	return c.out, nil
}

// firstStep is how many rows of the base table the first range takes: nobody knows yet how many rows of the
// view come of each.
const firstStep = 100

// nextStep adapts how many rows of the base table a range takes to how many rows of the view came of it.
func nextStep(step, got, want int) int {
	if got == 0 {
		return min(2*step, want)
	}
	return max(1, min(2*step, int(float64(step)*float64(want)/float64(got)), want))
}

// rows by key.
type rows map[change.Key]change.Row

func (c *comparison) index(list []change.Row) (rows, error) {
	m := make(rows, len(list))
	for _, r := range list {
		k, err := c.query.Shape.RowKey(r)
		if err != nil {
			return nil, err
		}
		if other, twice := m[k]; twice {
			return nil, fmt.Errorf("compare view %s: two rows have the key %v (%v and %v)", c.query.Shape.ID, c.key(r), other, r)
		}
		m[k] = r
	}
	return m, nil
}

func (c *comparison) readSource(ctx context.Context, rng change.KeyRange) (rows, change.Position, error) {
	ch, err := c.src.ReadQuery(ctx, c.query, rng)
	if err != nil {
		return nil, change.Position{}, err
	}
	if c.cfg.Pace != nil {
		if err := c.cfg.Pace(ctx, len(ch.Rows)); err != nil {
			return nil, change.Position{}, err
		}
	}
	m, err := c.index(ch.Rows)
	return m, ch.High, err
}

func (c *comparison) readDestination(ctx context.Context, rng change.KeyRange) (rows, error) {
	list, at, err := c.dst.Range(ctx, c.cfg.Stream, c.cfg.Target, rng)
	if err != nil {
		return nil, err
	}
	c.out.At = at
	return c.index(list)
}

// compare settles one range.
func (c *comparison) compare(ctx context.Context, rng change.KeyRange) error {
	want, high, err := c.readSource(ctx, rng)
	if err != nil {
		return err
	}
	c.out.Rows += len(want)
	c.digest(want)
	if equal, err := c.equalDigests(ctx, rng, want); equal || err != nil {
		return err
	}
	have, err := c.readDestination(ctx, rng)
	if err != nil {
		return err
	}
	suspects := differing(want, have)
	seen := map[change.Key]int{}
	for attempt := 0; len(suspects) > 0 && attempt < c.cfg.Attempts; attempt++ {
		if err := c.until(ctx, high); err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				break
			}
			return err
		}
		if have, err = c.readDestination(ctx, rng); err != nil {
			return err
		}
		again, h, err := c.readSource(ctx, rng)
		if err != nil {
			return err
		}
		var next []change.Key
		for _, k := range suspects {
			w, now, d := want[k], again[k], have[k]
			switch {
			case !same(w, now): // it has moved meanwhile
				next = append(next, k)
				seen[k] = 0
			case same(w, d):
			case seen[k] == 0: // once more: it may have moved there and back between the two reads
				next = append(next, k)
				seen[k]++
			default:
				c.differs(k, w, d, false)
			}
		}
		suspects, want, high = next, again, h
	}
	for _, k := range suspects {
		c.differs(k, want[k], have[k], true)
	}
	return nil
}

// equalDigests asks a destination that can tell whether it shows these rows in a range. A no says nothing of which rows
// differ, or whether they only move.
func (c *comparison) equalDigests(ctx context.Context, rng change.KeyRange, want rows) (bool, error) {
	d, ok := c.dst.(Digester)
	if !ok {
		return false, nil
	}
	var mine sinks.Digest
	for _, row := range want {
		mine.Add(row)
	}
	theirs, at, err := d.Digest(ctx, c.cfg.Stream, c.cfg.Target, rng)
	if err != nil || theirs != mine {
		return false, err
	}
	c.out.At = at
	return true, nil
}

// until waits until the destination shows a state at or behind the place.
func (c *comparison) until(ctx context.Context, place change.Position) error {
	for {
		at, err := c.dst.Shown(ctx, c.cfg.Stream, c.cfg.Target.From)
		if err != nil {
			return err
		}
		if !at.IsZero() {
			ok, err := c.places.Contains(at, place)
			if err != nil || ok {
				return err
			}
		}
		if err := c.cfg.Wait(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

func (c *comparison) differs(k change.Key, want, have change.Row, unsettled bool) {
	row := want
	if row == nil {
		row = have
	}
	if row == nil { // it went away while it was looked at: nothing to say
		return
	}
	key := c.key(row)
	if text := sinks.FormatKey(key); !unsettled && c.held[text] {
		c.out.Quarantined++
		return
	}
	if unsettled {
		c.out.Unsettled++
	} else {
		c.out.Different++
	}
	if len(c.out.Differences) < keptDifferences {
		c.out.Differences = append(c.out.Differences, Difference{Key: key, Source: want, Destination: have, Unsettled: unsettled})
	}
}

func (c *comparison) key(r change.Row) change.Row {
	key := make(change.Row, len(c.query.Shape.Key))
	for i, col := range c.query.Shape.Key {
		key[i] = r[col]
	}
	return key
}

func (c *comparison) digest(m rows) {
	keys := make([]change.Key, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		c.sum.Write([]byte(change.KeyOf(m[k]...)))
	}
}

func differing(want, have rows) []change.Key {
	var ks []change.Key
	for k, w := range want {
		if !same(w, have[k]) {
			ks = append(ks, k)
		}
	}
	for k := range have {
		if _, ok := want[k]; !ok {
			ks = append(ks, k)
		}
	}
	slices.Sort(ks)
	return ks
}

func same(a, b change.Row) bool { return (a == nil) == (b == nil) && a.Equal(b) }
