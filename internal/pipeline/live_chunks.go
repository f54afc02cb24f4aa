package pipeline

import (
	"context"
	"fmt"
	"sync"

	"github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/cdc/snapshot"
	"github.com/etlsandbox/cdc/schemas/change"
)

// LiveChunks reads chunks from the source, each request in a goroutine of its own; the stage bounds how
// many there are.
type LiveChunks struct {
	reader *snapshot.Reader
	limit  *rate
	done   func() // tells the stage that a result has come

	wg      sync.WaitGroup
	mu      sync.Mutex // guards results
	results []ChunkResult
}

// NewLiveChunks returns a chunk reader; rowsPerSecond is asked before each read (0: no limit), done is
// called whenever a result has come.
func NewLiveChunks(r *snapshot.Reader, rowsPerSecond func() int, done func()) *LiveChunks {
	return &LiveChunks{reader: r, limit: &rate{perSecond: rowsPerSecond}, done: done}
}

// Ordered implements ChunkReader.
func (l *LiveChunks) Ordered(t *change.Table) int { return snapshot.OrderedPrefix(t) }

// Submit implements ChunkReader.
func (l *LiveChunks) Submit(ctx context.Context, r ChunkRequest) {
	l.wg.Add(1)
	go func() {
		defer l.wg.Done()
		res := l.run(ctx, r)
		l.mu.Lock()
		l.results = append(l.results, res)
		l.mu.Unlock()
		l.done()
	}()
}

func (l *LiveChunks) run(ctx context.Context, r ChunkRequest) ChunkResult {
	res := ChunkResult{Job: r.Job, Range: r.Range}
	var c snapshot.Chunk
	switch r.Task {
	case PlanChunk:
		res.Range, res.Err = l.reader.Plan(ctx, r.Table, r.Range, r.Rows)
	case ReadChunk:
		c, res.Err = l.reader.Read(ctx, r.Table, r.Range, r.Registered)
	case ReadAfterChunk:
		c, res.Err = l.reader.ReadAfter(ctx, r.Table, r.After, r.Rows, r.Registered)
	default:
		res.Err = fmt.Errorf("chunk task %d is unknown", r.Task)
	}
	if cdc.TableAhead(res.Err) {
		res.Err = fmt.Errorf("%w: %w", ErrTableAhead, res.Err)
	}
	res.Rows, res.High, res.Last, res.More = c.Rows, c.High, c.Last, c.More
	if res.Err == nil {
		res.Err = l.limit.wait(ctx, len(c.Rows))
	}
	return res
}

// Poll implements ChunkReader.
func (l *LiveChunks) Poll() (ChunkResult, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.results) == 0 {
		return ChunkResult{}, false
	}
	r := l.results[0]
	l.results = l.results[1:]
	return r, true
}

// Drain waits for requests under way, once their context has ended, and drops their results.
func (l *LiveChunks) Drain() {
	l.wg.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.results = nil
}
