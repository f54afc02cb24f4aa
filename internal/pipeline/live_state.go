package pipeline

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/etlsandbox/cdc/joiner"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/statestore"
)

// metaValue is the name under which the state keeps JoinMeta beside its Marks.
const metaValue = "join"

// LiveState keeps the joiner's state in a state store. It belongs to the join stage's goroutine.
type LiveState struct {
	store   *statestore.Store
	layouts []statestore.Layout
	meta    JoinMeta
	synced  time.Time

	mu      sync.Mutex // guards durable
	durable change.Mark
}

// syncEvery bounds what a crash makes the joiner replay.
const syncEvery = time.Second

// OpenLiveState prepares a store for an engine and reads where it stands. A directory that was copied or
// restored proves nothing: it is emptied.
func OpenLiveState(store *statestore.Store, engine *joiner.Engine) (*LiveState, error) {
	s := &LiveState{store: store}
	if store.Moved() {
		if err := store.Reset(); err != nil {
			return nil, err
		}
	}
	if err := s.configure(engine.Tables()); err != nil {
		return nil, err
	}
	return s, s.load()
}

func (s *LiveState) configure(tables []joiner.Table) error {
	s.layouts = layoutsOf(tables)
	gaps, err := s.store.Configure(s.layouts)
	if err != nil {
		return err
	}
	for _, g := range gaps {
		if !s.store.Marks().In.IsZero() && !s.covering(g) {
			// What the state lacks cannot be told from what is not there: it starts over.
			return s.reset()
		}
	}
	return nil
}

func layoutsOf(tables []joiner.Table) []statestore.Layout {
	var ls []statestore.Layout
	for _, t := range tables {
		ls = append(ls, statestore.Layout(t))
	}
	return ls
}

// Relayout makes the state ready for an engine that wants other tables, columns or indexes. Of the renewed
// tables nothing is kept. It returns false when the state lacks something else too; it must be reset then.
func (s *LiveState) Relayout(tables []joiner.Table, renewed []change.TableID) (kept bool, err error) {
	all := layoutsOf(tables)
	rest := slices.DeleteFunc(slices.Clone(all), func(l statestore.Layout) bool { return slices.Contains(renewed, l.Shape.ID) })
	if _, err := s.store.Configure(rest); err != nil {
		return false, err
	}
	gaps, err := s.store.Configure(all)
	if err != nil {
		return false, err
	}
	s.layouts = all
	for _, g := range gaps {
		if !slices.Contains(renewed, g.Table) && !s.store.Marks().In.IsZero() && !s.covering(g) {
			return false, nil
		}
	}
	return true, nil
}

// covering reports whether a gap is being closed by a cover already.
func (s *LiveState) covering(g statestore.Gap) bool {
	if err := s.load(); err != nil {
		return false
	}
	return s.meta.Covering[g.Table.String()].Heal && len(g.Columns) == 0 && len(g.Indexes) == 0
}

// Reset implements JoinState.
func (s *LiveState) Reset(tables []joiner.Table) error {
	s.layouts = layoutsOf(tables)
	return s.reset()
}

func (s *LiveState) reset() error {
	if err := s.store.Reset(); err != nil {
		return err
	}
	s.meta = JoinMeta{}
	_, err := s.store.Configure(s.layouts)
	return err
}

func (s *LiveState) load() error {
	s.meta = JoinMeta{}
	b := s.store.Value(metaValue)
	if len(b) == 0 {
		return nil
	}
	if err := json.Unmarshal(b, &s.meta); err != nil {
		return fmt.Errorf("read the join state's place: %w", err)
	}
	return nil
}

// Read implements JoinState.
func (s *LiveState) Read() (joiner.State, func() error, error) {
	r, err := s.store.Read()
	if err != nil {
		return nil, nil, err
	}
	return r, r.Close, nil
}

// Meta implements JoinState.
func (s *LiveState) Meta() JoinMeta { return s.meta }

// Write implements JoinState.
func (s *LiveState) Write(m JoinMeta, flush func(joiner.Writer) error) error {
	v, err := json.Marshal(m)
	if err != nil {
		return err
	}
	b := s.store.NewBatch()
	b.SetMarks(statestore.Marks{In: m.In, Out: m.Out})
	b.SetValue(metaValue, v)
	for t, c := range s.meta.Covering {
		if _, still := m.Covering[t]; c.Heal && !still {
			b.SetWhole(change.ParseTableID(t)) // its cover has ended
		}
	}
	if err := flush(b); err != nil {
		_ = b.Close() // the first error says what went wrong
		return err
	}
	if err := b.Commit(); err != nil {
		return err
	}
	more := len(m.Covering) > len(s.meta.Covering)
	s.meta = m
	// A begin is made durable at once: a state that has lost it would need another one.
	return s.sync(more)
}

// sync makes the state durable from time to time, or now; what is behind it in the stream is then not needed
// any more.
func (s *LiveState) sync(now bool) error {
	at := time.Now()
	if !now && at.Sub(s.synced) < syncEvery {
		return nil
	}
	if err := s.store.Sync(); err != nil {
		return err
	}
	s.synced = at
	s.mu.Lock()
	defer s.mu.Unlock()
	s.durable = s.meta.In
	return nil
}

// Idle makes what was written last durable too, though nothing follows it. Until then the
// broker keeps what a replay would need, and a cover may be waiting for that room.
func (s *LiveState) Idle() error {
	if s.Durable() == s.meta.In {
		return nil
	}
	return s.sync(false)
}

// Durable is the Mark in the raw stream that survives any crash. Safe for any goroutine.
func (s *LiveState) Durable() change.Mark {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.durable
}
