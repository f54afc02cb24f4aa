package sim

import (
	"context"
	"fmt"
	"slices"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/view"
	"github.com/etlsandbox/cdc/schemas/wire"
	"github.com/etlsandbox/cdc/sinks/memory"
)

func newDestination(name string) *destination {
	return &destination{name: name, db: memory.NewDB(), seen: map[string]int{}}
}

// settled reports whether nothing is left to do.
func (w *world) settled() bool { return w.why() == "" }

// why names something that is left to do.
func (w *world) why() string {
	end := w.src.end()
	if !w.src.drained() {
		return "the source is not drained"
	}
	for i := range w.dirty {
		if w.dirty[i] && !w.mended[i] {
			return "a table was changed silently and not resynced"
		}
	}
	for _, a := range w.actors() {
		if a.name[len(a.name)-1] == '0' && !a.up {
			return a.name + " is down"
		}
	}
	for _, d := range w.dests {
		s := d.db.Snapshot()
		for _, n := range streamNames {
			switch m := s.Marks[n]; {
			case m.IsZero() || placeOf(m.Position) != end:
				return fmt.Sprintf("%s stands at %d of %d in %s: %v", d.name, placeOf(m.Position), end, n, m)
			case len(s.States[n]) > 0:
				return fmt.Sprintf("%s has tables of %s that are not live: %+v", d.name, n, s.States[n])
			case !w.recent(n, m):
				return fmt.Sprintf("%s has not read all of %s: it stands at %v", d.name, n, m)
			}
		}
	}
	return w.unsettledStreams()
}

func (w *world) unsettledStreams() string {
	end := w.src.end()
	for _, n := range streamNames {
		m, err := stream.ReadMeta(context.Background(), w.broker, n)
		switch {
		case err != nil:
			return err.Error()
		case m.Newest == nil || placeOf(m.Newest.Progress.Position) != end:
			return fmt.Sprintf("stream %s has not reached the source's end at %d", n, end)
		case len(m.Covers) > 0:
			return fmt.Sprintf("stream %s has open covers", n)
		case n == viewStream && slices.ContainsFunc(w.plans, func(p *view.Plan) bool { return m.Views[p.Name] == nil }):
			return "a view is missing"
		}
	}
	st := w.joiners[0].store.now().meta
	if len(st.Covering) > 0 || placeOf(st.In.Position) != end || !w.recent(rawStream, st.In) {
		return fmt.Sprintf("the joiner stands at %v, covering %v", st.In, st.Covering)
	}
	return ""
}

// recent reports whether the mark is in the log and nothing but idle records follows it.
func (w *world) recent(name string, m change.Mark) bool {
	topic := stream.ProgressTopic(name)
	got, err := w.broker.Read(context.Background(), []stream.Want{{Topic: topic, From: m.Offset, MaxBytes: 1 << 30}}, 0)
	if err != nil || len(got[0].Records) == 0 || got[0].Bounds.Stable < got[0].Bounds.End {
		return false
	}
	for i, e := range got[0].Records {
		p, err := wire.DecodeProgress(e.Value)
		if err != nil || i == 0 && (e.Offset != m.Offset || p.ID != m.ID) || i > 0 && p.Kind != change.Idle {
			return false
		}
	}
	return true
}

// final is I4, and with it I3: every destination equals the source.
func (w *world) final() {
	for _, d := range w.dests {
		s := d.db.Snapshot()
		for _, n := range streamNames {
			for _, name := range w.names(n) {
				if got, want := shown(name, s.Rows[name]), answer(name, w.src.head()); !slices.Equal(got, want) {
					w.fail("I4", fmt.Sprintf("%s.%s ends as %s, the source has %s", d.name, name, print(got), print(want)))
				}
			}
		}
	}
}
