package sim

import (
	"context"
	"maps"
	"slices"

	"github.com/etlsandbox/cdc/internal/pipeline"
	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// one is true once in n steps of a fault that this history has.
func (w *world) one(fault string, n int) bool {
	return w.faults[fault] && !w.quiet && w.r.IntN(n*w.calmer) == 0
}

// inject makes the faults of this step.
func (w *world) inject() {
	if w.quiet {
		return
	}
	r := w.r
	if w.one("crash", 120) {
		as := w.actors()
		a := as[r.IntN(len(as))]
		if r.IntN(2) == 0 {
			a.die = 1 + r.IntN(15)
		} else {
			w.crash(a)
		}
	}
	if w.one("gap", 1000) {
		w.crash(&w.captures[0].actor)
		w.crash(&w.captures[1].actor)
		w.src.purged = w.src.end()
		w.note("the log is purged before %d", w.src.purged)
	}
	if w.one("ddl", 300) {
		w.src.ddl()
		w.note("ddl, perhaps")
	}
	if w.one("silent", 1500) {
		if t := w.src.silent(); t >= 0 {
			w.dirty[t] = true
			w.note("silent change of table %d", t)
		}
	}
	if w.one("resync", 250) || w.one("slow-log", 40) {
		w.resync()
	}
	if w.one("set-back", 700) {
		if n := w.src.setBack(1 + r.IntN(4)); n > 0 {
			w.answered = false
			w.count("set back")
			w.note("the source loses %d transactions", n)
		}
	}
	if w.one("set-back", 150) && w.src.drained() && (!w.answered || !w.captures[0].up) {
		w.mean()
	}
	if w.tick == w.o.steps/2 {
		w.addView()
	}
	w.brokerFaults()
	w.destinationFaults()
	if w.one("lost-state", 1000) {
		j := w.joiners[0]
		w.crash(&j.actor)
		j.store.lose()
		w.note("the joiner's state is lost")
	}
}

// resync is an operator who asks for a table, a range, everything, or a view.
func (w *world) resync() {
	if w.r.IntN(3) == 0 {
		w.askJoin(pipeline.Ask{Tables: []string{w.plans[w.r.IntN(len(w.plans))].Name}})
		return
	}
	a := pipeline.Ask{Tables: []string{w.tables[w.r.IntN(tableCount)].ID.String()}}
	switch w.r.IntN(5) {
	case 2:
		a.Tables = nil // all
	case 0:
		a.Range = change.KeyRange{HasLo: true, Lo: intKey(w.r.IntN(3)), HasHi: true, Hi: intKey(3 + w.r.IntN(2))}
		a.Tables = []string{w.tables[items].ID.String()}
	case 1:
		a.Heal = true
	}
	w.askCapture(a)
}

// mean is an operator who says that the source is meant as it is.
func (w *world) mean() {
	w.note("the source is meant as it is")
	w.word, w.said = true, true
	for _, c := range w.captures {
		if c.up && c.asks != nil {
			w.word = false
			c.asks.Ask(pipeline.Ask{Heal: true, Back: true, Done: func(string, error) { w.answered = true }})
			return
		}
	}
}

func (w *world) brokerFaults() {
	r, f := w.r, w.faults
	if w.one("trim", 200) {
		w.trim(false)
	}
	if w.one("hard-trim", 1000) {
		w.trim(true)
	}
	last := w.tick == w.o.steps && w.o.seed%2 == 0
	if (f["cut"] || f["cut-apart"] || f["cut-deep"]) && (r.IntN(900*w.calmer) == 0 || last) {
		w.cut()
	}
	every := 400
	if f["cut-deep"] {
		every = 6000
	}
	if r.IntN(every) == 0 {
		w.sync()
	}
}

// sync makes the broker's content durable, and trims meta as the daemon does where the broker does not compact.
func (w *world) sync() {
	w.broker.Sync()
	for _, n := range streamNames {
		p := wire.Part{Topic: stream.MetaTopic(n), Next: w.metaFloor[n]}
		if b := w.bounds(p); b.Stable == b.End && p.Next <= b.End && p.Next > b.Start {
			w.drop([]wire.Part{p})
		}
	}
}

func (w *world) bounds(p wire.Part) stream.Bounds {
	b, err := w.broker.Bounds(context.Background(), []wire.Part{p})
	if err != nil {
		w.fail("error", err.Error())
	}
	return b[0]
}

func (w *world) drop(parts []wire.Part) {
	if err := w.broker.Trim(context.Background(), parts); err != nil {
		w.fail("error", err.Error())
	}
}

// cut is a power cut of the broker's host, which may be the joiner's as well.
func (w *world) cut() {
	w.powerCut()
	if w.r.IntN(2) == 0 {
		for _, j := range w.joiners {
			w.crash(&j.actor)
		}
	}
}

// deliverPoint cuts the power just when a reader has found the begin of its cover, and has not read it.
func (w *world) deliverPoint(point string) error {
	if point == "deliver-adopted" && w.faults["cut-at-begin"] && !w.quiet && w.r.IntN(2) == 0 {
		w.powerCut()
	}
	return w.point()
}

// inHeal changes a table silently once a chunk of its heal has been written, and has it resynced: the resync's
// chunks find the table staged.
func (w *world) inHeal(c pipeline.Committed) {
	if !w.faults["silent-in-heal"] || !w.quiet || c.Stream != rawStream || c.Kind != change.Chunk || !c.Cover.Heal {
		return
	}
	for i, t := range w.tables {
		if t.ID.String() != c.Cover.Table || w.dirty[i] || !w.src.drained() {
			continue
		}
		w.src.scramble(i, w.src.head())
		w.src.engine = *w.src.head()
		w.dirty[i] = true
		w.note("silent change of table %d", i)
		w.askCapture(pipeline.Ask{Tables: []string{c.Cover.Table}})
	}
}

func (w *world) powerCut() {
	depth := 12
	if w.faults["cut-deep"] {
		depth = 120
	}
	w.broker.PowerCut(w.r.IntN, w.faults["cut-apart"] && !w.faults["cut"], depth)
	w.note("power cut of the broker")
	w.count("power cut")
	for _, n := range streamNames {
		end := w.bounds(wire.Part{Topic: stream.ProgressTopic(n)}).End
		w.trails[n] = slices.DeleteFunc(w.trails[n], func(t trail) bool { return t.offset >= end })
		w.metaFloor[n] = 0
	}
}

// trim drops what every reader that runs has read durably; a hard one does not look at readers.
func (w *world) trim(hard bool) {
	for _, n := range streamNames {
		ts := w.trails[n]
		if len(ts) < 4 {
			continue
		}
		low := ts[len(ts)-3].offset
		for _, d := range w.dests {
			if m := d.db.Snapshot().Marks[n]; !hard && !m.IsZero() && d.down == 0 {
				low = min(low, m.Offset)
			}
		}
		if n == rawStream && !hard {
			low = min(low, w.joiners[0].store.disk.meta.In.Offset)
		}
		w.trimTo(n, low)
	}
}

func (w *world) trimTo(name string, low int64) {
	type where struct {
		topic string
		n     int32
	}
	ends := map[where]int64{}
	for _, t := range w.trails[name] {
		if t.offset > low {
			break
		}
		for _, p := range t.parts {
			ends[where{p.Topic, p.Partition}] = p.Next
		}
	}
	var parts []wire.Part
	for at, next := range ends {
		p := wire.Part{Topic: at.topic, Partition: at.n, Next: next}
		if w.bounds(p).End >= next {
			parts = append(parts, p)
		}
	}
	if p := (wire.Part{Topic: stream.ProgressTopic(name), Next: low}); w.r.IntN(2) == 0 && w.bounds(p).End >= low {
		parts = append(parts, p)
	}
	w.drop(parts)
	w.note("trim %s before the record at %d", name, low)
}

func (w *world) destinationFaults() {
	d := w.dests[w.r.IntN(len(w.dests))]
	if w.one("sink-down", 600) {
		d.down = 40
		w.note("%s is down", d.name)
	}
	if !w.one("restore", 200) {
		return
	}
	if d.backup == nil || w.r.IntN(2) == 0 {
		d.backup, d.backedUp = d.db.Backup(), maps.Clone(d.seen)
		return
	}
	for _, p := range w.delivers {
		if p.to == d {
			w.crash(&p.actor)
		}
	}
	d.db.Restore(d.backup)
	d.seen = maps.Clone(d.backedUp)
	w.note("%s is restored from its backup", d.name)
	w.count("restore")
}

// addView starts the joiner and its readers with one view more.
func (w *world) addView() {
	if len(w.plans) == len(w.later) {
		return
	}
	w.plans = w.later
	w.note("a view is added")
	for _, j := range w.joiners {
		w.crash(&j.actor)
	}
	for _, d := range w.delivers {
		if d.stream == viewStream {
			w.crash(&d.actor)
		}
	}
}
