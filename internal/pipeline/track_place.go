package pipeline

import (
	"time"

	"github.com/etlsandbox/cdc/schemas/change"
)

// readPlace is how far the source's log was read when the raw stream was written last.
type readPlace struct {
	at  time.Time     // when
	of  time.Time     // everything that was committed until then had been read
	lag time.Duration // at minus of
}

// note takes a record of the raw stream in: transactions are as old as the last of them, and an idle record says that
// the log holds nothing more.
func (r *readPlace) note(c Committed, now time.Time) {
	r.at = now
	switch {
	case c.Kind == change.Changes && c.CommitMicros > 0:
		r.of = time.UnixMicro(c.CommitMicros)
		r.lag = max(0, now.Sub(r.of))
	case c.Kind == change.Idle, r.of.IsZero():
		r.of, r.lag = now, 0
	}
}

// SourceLag is how far reading is behind the source: the age of the newest transaction when it was read, 0 once there
// is none to read. When nothing has been written for longer than patience, which heartbeats do not let happen, it
// grows with the time. 0 before anything was read.
func (t *Tracker) SourceLag(now time.Time, patience time.Duration) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.read; !r.at.IsZero() && now.Sub(r.at) > patience {
		return now.Sub(r.of)
	}
	return t.read.lag
}

// IsPaused reports whether a table is put aside.
func (t *Tracker) IsPaused(table string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.paused[table] != ""
}

// StreamResumed notes where a stream stands when its writer starts.
func (t *Tracker) StreamResumed(name string, at change.Mark) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.streams[name]
	s.Mark = at
	t.streams[name] = s
	t.signal()
}

// JoinResumed notes where in the raw stream the joiner starts.
func (t *Tracker) JoinResumed(in change.Mark) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.joined = in.Seq
	t.joinLag()
	t.signal()
}

// JoinedAt returns where in the raw stream the joiner stands (0: not known), and where the view stream did then or
// later.
func (t *Tracker) JoinedAt(views string) (in, out change.Seq) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.joined, t.streams[views].Mark.Seq
}
