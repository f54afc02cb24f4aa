package sim

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
	"github.com/etlsandbox/cdc/sinks/memory"
)

// destination is a database that is delivered to.
type destination struct {
	name   string
	db     *memory.DB
	backup *memory.DB
	// seen is the boundary that each table was last shown at; backedUp what it was at the backup.
	seen, backedUp map[string]int
	down           int // ticks for which it refuses
}

// checkedSink is a sink whose every transaction is checked; it may be down.
type checkedSink struct {
	sinks.Sink
	w      *world
	d      *destination
	stream string
}

func (s *checkedSink) call() error {
	if err := s.w.effect(); err != nil {
		return err
	}
	if s.d.down > 0 {
		return &sinks.RetryError{Reason: "connection", Err: errDown}
	}
	return nil
}

// Boundaries implements sinks.Boundaries.
func (s *checkedSink) Boundaries(ctx context.Context, stream string) (map[string]sinks.TableState, error) {
	return s.Sink.(sinks.Boundaries).Boundaries(ctx, stream)
}

// Prepare implements sinks.Sink.
func (s *checkedSink) Prepare(ctx context.Context, stream string, targets []sinks.Target) error {
	if err := s.call(); err != nil {
		return err
	}
	defer func() { s.w.atomic = false }()
	return s.Sink.Prepare(ctx, stream, targets)
}

// Applied implements sinks.Sink.
func (s *checkedSink) Applied(ctx context.Context, stream string) (change.Mark, error) {
	if err := s.call(); err != nil {
		return change.Mark{}, err
	}
	return s.Sink.Applied(ctx, stream)
}

// Apply implements sinks.Sink.
func (s *checkedSink) Apply(ctx context.Context, b *change.Batch) error {
	if err := s.call(); err != nil {
		return err
	}
	err := s.Sink.Apply(ctx, b)
	s.w.atomic = false
	s.w.noteApplied(s, b, err)
	s.w.check(s.d, s.stream, b)
	if err != nil {
		return err
	}
	return s.w.point()
}

func (w *world) noteApplied(s *checkedSink, b *change.Batch, err error) {
	if b.Kind == change.Idle || !w.tracing {
		return
	}
	cover := ""
	if b.Cover != nil {
		cover = fmt.Sprintf("cover %s for %q heal %v %v%s %s", b.Cover.ID, b.Cover.For, b.Cover.Heal, b.Cover.Tables, b.Cover.Table, span(b.Cover.Range))
	}
	w.note("%s %s applies %s %d-%d at %d, %d rows %s: %v", s.d.name, s.stream, b.Kind, b.From, b.To, placeOf(b.Mark.Position), b.Rows, cover, err)
}

// names lists what a stream carries, by destination table.
func (w *world) names(stream string) []string {
	if stream == rawStream {
		return []string{"buyer", "item"}
	}
	var ns []string
	for _, p := range w.plans {
		ns = append(ns, p.Name)
	}
	return ns
}

func (w *world) fromOf(name string) string {
	if name == "buyer" || name == "item" {
		return "shop." + name
	}
	return name
}

// check is I1 and I2 of what a destination shows of one stream.
func (w *world) check(d *destination, stream string, b *change.Batch) {
	s := d.db.Snapshot()
	for _, name := range w.names(stream) {
		if _, made := s.Rows[name]; !made {
			continue // a view that the destination does not know yet
		}
		at := s.Marks[stream]
		if st, ok := s.States[stream][w.fromOf(name)]; ok {
			at = st.Boundary
		}
		if at.IsZero() {
			if n := len(s.Rows[name]); n > 0 {
				w.fail("I1", fmt.Sprintf("%s.%s shows %d rows without a boundary", d.name, name, n))
			}
			continue
		}
		n := placeOf(at.Position)
		if n >= len(w.src.hist) {
			w.fail("I1", fmt.Sprintf("%s.%s stands at boundary %d, the source has %d", d.name, name, n, len(w.src.hist)-1))
		}
		if w.exempt(name) {
			continue
		}
		if got, want := shown(name, s.Rows[name]), answer(name, &w.src.hist[n]); !slices.Equal(got, want) {
			w.fail("I1", fmt.Sprintf("%s.%s at boundary %d shows %v, the source had %v (after %s %d-%d)",
				d.name, name, n, print(got), print(want), b.Kind, b.From, b.To))
		}
		if n < d.seen[name] && !(w.src.lost(d.seen[name]) && w.said) {
			w.fail("I2", fmt.Sprintf("%s.%s moved back from boundary %d to %d", d.name, name, d.seen[name], n))
		}
		d.seen[name] = n
	}
}

// exempt: rows that were wrong without a trace, until their resync has passed.
func (w *world) exempt(name string) bool {
	switch name {
	case "buyer", "names":
		return w.dirty[buyers]
	case "item":
		return w.dirty[items]
	}
	return w.dirty[buyers] || w.dirty[items]
}

// A row as a number: three fields of 20 bits; the middle one is 0 for NULL.
func number(a, b, c int64) uint64 { return uint64(a)<<40 | uint64(b)<<20 | uint64(c) }

// answer is what the source answers for a table or a view: the oracle.
func answer(name string, c *content) []uint64 {
	var out []uint64
	switch name {
	case "buyer", "names":
		for k, v := range c.buyer {
			if v != 0 {
				out = append(out, number(int64(k), 0, int64(v)))
			}
		}
	case "item":
		for k, v := range c.item {
			if v != 0 {
				out = append(out, number(int64(k), int64((v-1)%4)+1, int64((v-1)/4)))
			}
		}
	case "flat":
		for k, v := range c.item {
			if v != 0 && c.buyer[(v-1)%4] != 0 {
				out = append(out, number(int64(k), int64((v-1)%4)+1, int64(c.buyer[(v-1)%4])))
			}
		}
	case "wide":
		for k, v := range c.buyer {
			if v == 0 {
				continue
			}
			alone := true
			for i, x := range c.item {
				if x != 0 && int((x-1)%4) == k {
					out, alone = append(out, number(int64(k), int64(i)+1, int64(v))), false
				}
			}
			if alone {
				out = append(out, number(int64(k), 0, int64(v)))
			}
		}
	}
	slices.Sort(out)
	return out
}

// shown is what a destination shows, in the same form.
func shown(name string, rows []memory.Row) []uint64 {
	out := make([]uint64, 0, len(rows))
	for _, r := range rows {
		v := r.Row
		switch name {
		case "buyer", "names":
			out = append(out, number(v[0].Int(), 0, text(v[1])))
		case "item":
			out = append(out, number(v[0].Int(), v[1].Int()+1, v[2].Int()))
		case "flat":
			out = append(out, number(v[0].Int(), v[1].Int()+1, text(v[2])))
		case "wide":
			item := int64(0)
			if !v[2].IsNull() {
				item = v[2].Int() + 1
			}
			out = append(out, number(v[0].Int(), item, text(v[1])))
		}
	}
	slices.Sort(out)
	return out
}

func text(v change.Value) int64 {
	n, err := strconv.ParseInt(v.Text(), 10, 64)
	if err != nil {
		return 1<<20 - 1
	}
	return n
}

func print(rows []uint64) string {
	s := "["
	for _, r := range rows {
		s += fmt.Sprintf(" %d/%d/%d", r>>40, r>>20&(1<<20-1), r&(1<<20-1))
	}
	return s + " ]"
}

// span prints a key range over one integer.
func span(r change.KeyRange) string {
	s := "["
	if r.HasLo && len(r.Lo) >= 9 {
		s += strconv.Itoa(int(r.Lo[8]))
	}
	s += ","
	if r.HasHi && len(r.Hi) >= 9 {
		s += strconv.Itoa(int(r.Hi[8]))
	}
	return s + ")"
}
