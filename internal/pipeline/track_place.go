package pipeline

import "github.com/etlsandbox/cdc/schemas/change"

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
