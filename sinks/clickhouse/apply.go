package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// apply is one Batch on its way into the destination.
type apply struct {
	s    *Sink
	st   *stream
	b    *change.Batch
	step sinks.Step
	now  ledger // what cdc_progress says, as this batch moves it

	inboxes map[*target]*inbox
	marks   map[mention]*entry
	counts  sinks.Counts
	parts   map[string]int // blocks sent so far, for tokens
	// checked says that the writer was looked at a moment ago, by the statement that wrote the plan: the block
	// that follows needs no look of its own.
	checked bool
	// undo takes back what was changed in memory when the batch does not get through.
	undo []func()
}

// Apply implements sinks.Sink. There is no transaction: the plan of the batch is written down, then its
// blocks, then the Mark. What was cut off is written again under the same versions, which changes nothing.
func (s *Sink) Apply(ctx context.Context, b *change.Batch) error {
	doing := fmt.Sprintf("apply %s %d..%d of %s to clickhouse sink %s", b.Kind, b.From, b.To, b.Stream, s.cfg.Name)
	st, err := s.stream(b.Stream)
	if err != nil {
		return err
	}
	if st.stale {
		if err := s.refresh(ctx, st); err != nil {
			return classify(doing, err)
		}
	}
	if done, err := sinks.AlreadyApplied(b, st.mark); done || err != nil {
		return err
	}
	step, err := st.staging.Decide(b, st.mark, st.states)
	if err != nil {
		return err
	}
	a := &apply{
		s: s, st: st, b: b, step: step, now: st.ledger,
		inboxes: map[*target]*inbox{}, marks: map[mention]*entry{}, parts: map[string]int{},
	}
	return classify(doing, a.run(ctx))
}

func (a *apply) run(ctx context.Context) error {
	err := a.body(ctx)
	for _, in := range a.inboxes {
		a.s.litter = append(a.s.litter, in.table)
	}
	if err != nil {
		for _, undo := range slices.Backward(a.undo) {
			undo()
		}
		for _, st := range a.s.streams {
			st.stale = true
		}
		return err
	}
	a.st.ledger = a.now
	for m, e := range a.marks {
		if !e.clear {
			a.counts.Quarantined(m.table)
		}
	}
	a.counts.Tell(a.s.cfg.Observer)
	a.tidy(ctx)
	return nil
}

// tidy drops the tables of batches. What it cannot drop now it drops after a later batch, or Prepare does.
func (a *apply) tidy(ctx context.Context) {
	for i, t := range a.s.litter {
		if a.s.drop(ctx, "drop inbox", t) != nil {
			a.s.litter = a.s.litter[i:]
			return
		}
	}
	a.s.litter = nil
}

// body writes the batch, in the order that sinks.Step gives.
func (a *apply) body(ctx context.Context) error {
	if a.step.Skip {
		return a.move(ctx)
	}
	for _, shape := range a.b.Tables {
		if tg := a.st.targets[shape.ID.String()]; tg != nil && !shape.SameShape(tg.table) {
			if err := a.fence(ctx); err != nil {
				return err
			}
			if err := a.evolve(ctx, tg, shape); err != nil {
				return sinks.OfTarget(tg.From, err)
			}
		}
	}
	for _, t := range a.step.Void {
		if err := a.fence(ctx); err != nil {
			return err
		}
		if err := a.void(ctx, a.st.targets[t]); err != nil {
			return err
		}
	}
	if err := a.fill(ctx); err != nil {
		return err
	}
	for _, t := range a.step.Show {
		if err := a.show(ctx, a.st.targets[t]); err != nil {
			return err
		}
	}
	for _, t := range a.step.Sweep {
		if err := a.sweep(ctx, a.st.targets[t]); err != nil {
			return err
		}
	}
	if err := a.storeQuarantine(ctx); err != nil {
		return err
	}
	if err := a.move(ctx); err != nil {
		return err
	}
	a.dropStages()
	return nil
}

// fence makes sure that the right to write is still this process's; it is asked before each block, unless the
// statement before it asked.
func (a *apply) fence(ctx context.Context) error {
	if a.checked {
		a.checked = false
		return nil
	}
	return a.s.fence(ctx, a.st.name, &a.now)
}

// move moves the Mark and the states of tables, which is what commits the batch.
func (a *apply) move(ctx context.Context) error {
	next := a.now
	next.mark, next.states, next.plan = a.b.Mark, a.step.States, plan{}
	next.version++
	err := a.s.replace(ctx, "progress", a.b.Stream, &a.now, &next, a.b.CommitMicros)
	if err != nil && !a.moved(ctx) {
		return err
	}
	next.strays = nil
	a.now = next
	return nil
}

// moved asks whether the Mark has moved although its statement failed: only the destination knows.
func (a *apply) moved(ctx context.Context) bool {
	l, err := a.s.load(ctx, a.st.name)
	return err == nil && l.writer == a.s.writer && l.mark.ID == a.b.Mark.ID && l.mark.Incarnation == a.b.Mark.Incarnation
}

// begin writes the plan of the batch down, before anything of it is sent. A batch that was cut off keeps its
// plan.
func (a *apply) begin(ctx context.Context, large bool) error {
	a.checked = false
	p := a.now.plan
	if !p.isFor(a.b) {
		p = newPlan(a.b, a.s.cfg.BlockRows)
	}
	p.Large = p.Large || large
	if p == a.now.plan {
		return nil
	}
	next := a.now
	next.plan = p
	next.version++
	if err := a.s.replace(ctx, "plan", a.b.Stream, &a.now, &next, 0); err != nil {
		return err
	}
	next.strays = nil
	a.now, a.checked = next, true
	return nil
}

// fill reads the batch's rows and writes them to where their tables are kept: straight, when what they do to
// each key fits into memory, else by way of inboxes at the destination.
func (a *apply) fill(ctx context.Context) error {
	if a.b.Rows == 0 && a.b.Kind != change.Chunk {
		return nil
	}
	compared := a.compared()
	large := compared != nil || a.now.plan.isFor(a.b) && a.now.plan.Large
	if e := a.ahead(); e != nil && !large {
		return a.sendAhead(ctx, e)
	}
	fold, n := sinks.NewFold(), 0
	for ev, err := range a.b.Events(ctx) {
		if err != nil {
			return &sinks.RetryError{Reason: "read", Err: fmt.Errorf("read the batch: %w", err)}
		}
		n++
		table := ev.Table.ID.String()
		if a.step.Route(table) == sinks.Ignore {
			continue
		}
		if err := a.follow(ctx, a.st.targets[table], ev.Table); err != nil {
			return err
		}
		if err := fold.Add(table, &ev); err != nil {
			return err
		}
		a.counts.Event(table, ev.Op)
		if fold.MemSize() > a.s.cfg.Memory {
			large = true
			if err := a.drain(ctx, fold, true); err != nil {
				return err
			}
		}
	}
	if n != a.b.Rows {
		return &sinks.RetryError{Reason: "read", Err: fmt.Errorf("the batch announces %d events and holds %d", a.b.Rows, n)}
	}
	if err := a.drain(ctx, fold, large); err != nil {
		return err
	}
	if a.b.Kind == change.Chunk {
		return a.chunk(ctx, compared)
	}
	return a.pourAll(ctx)
}

// compared is the target of a chunk that is compared with what is shown; nil if the batch is none.
func (a *apply) compared() *target {
	if a.b.Kind != change.Chunk || !a.step.DeleteRange {
		return nil
	}
	tg := a.st.targets[a.b.Cover.Table]
	if tg == nil {
		return nil
	}
	if r := a.step.Route(tg.From); r != sinks.ToTable && r != sinks.ToBoth {
		return nil
	}
	return tg
}

// follow takes over the shape of rows that hold a column which the target does not know: the stream's tail
// may be older, or newer, than the shape that the sink was prepared with.
func (a *apply) follow(ctx context.Context, tg *target, shape *change.Table) error {
	_, err := tg.mapping(shape)
	switch {
	case !errors.Is(err, errUnknownColumn):
		return err
	case a.inboxes[tg] != nil:
		return &sinks.StopError{What: fmt.Sprintf("rows of %s change their shape within a batch", shape.ID), Err: err, Hint: "resync the table"}
	}
	if err := a.fence(ctx); err != nil {
		return err
	}
	return sinks.OfTarget(tg.From, a.evolve(ctx, tg, shape))
}

func (a *apply) drain(ctx context.Context, fold *sinks.Fold, large bool) error {
	tables := fold.Tables()
	if len(tables) == 0 {
		return nil
	}
	if err := a.begin(ctx, large); err != nil {
		return err
	}
	for _, t := range tables {
		if err := a.write(ctx, a.st.targets[t], fold.Drain(t), nil, large); err != nil {
			return err
		}
	}
	return nil
}

// write sends net changes of a table, in key order. ahead, unless nil, are blocks that were made of them before.
func (a *apply) write(ctx context.Context, tg *target, nets []sinks.Net, ahead []*block, large bool) error {
	rows, err := tg.rows(nets)
	if err != nil {
		return err
	}
	if err := a.clearListed(ctx, tg, rows); err != nil {
		return err
	}
	if a.step.Route(tg.From) == sinks.ToBoth {
		if err := a.note(ctx, tg, rows); err != nil {
			return err
		}
	}
	if !large {
		at := a.place(tg)
		if at.soft != tg.Soft {
			ahead = nil // it has not the columns of the visible table
		}
		return a.send(ctx, at, "rows", rows, ahead, 0)
	}
	in, err := a.inbox(ctx, tg)
	if err != nil {
		return err
	}
	in.order++
	return a.send(ctx, in.place(), "inbox", rows, nil, in.order)
}

func (a *apply) place(tg *target) place {
	if a.step.Route(tg.From) == sinks.ToStaging {
		return tg.staging(a.cover(tg))
	}
	return tg.visible()
}

// send writes rows to a place, in blocks of the plan's size; ahead are those that are made already. Rows that cannot
// be written down are poison.
func (a *apply) send(ctx context.Context, p place, part string, rows []row, ahead []*block, order uint64) error {
	b := p.newBlock()
	for chunk := range slices.Chunk(rows, a.now.plan.Rows) {
		var made *block
		if len(ahead) > 0 {
			made, ahead = ahead[0].into(p), ahead[1:]
		}
		if err := a.sendBlock(ctx, p, b, made, part, chunk, order); err != nil {
			return err
		}
	}
	return nil
}

// sendBlock writes one block: made, unless that is nil or refused, or what is encoded into b.
func (a *apply) sendBlock(ctx context.Context, p place, b, made *block, part string, rows []row, order uint64) error {
	part += "/" + p.table
	n := a.parts[part]
	a.parts[part]++
	without := digest{}
	for {
		send := made
		if send == nil {
			send = b
			if err := a.encode(p, b, rows, order, &without); err != nil {
				return err
			}
		}
		made = nil
		if send.rows == 0 {
			return nil
		}
		if err := a.fence(ctx); err != nil {
			return err
		}
		token := ""
		if !p.inbox { // an inbox is of this very attempt
			token = a.now.plan.token(p.tg.From, part, n, without.text())
		}
		err := a.s.insert(ctx, "block", send, token)
		if err == nil || p.inbox {
			return err
		}
		if why := a.whyRefused(ctx, p.tg, err); !isPoison(why) {
			return why
		}
		if err := a.refuseRows(ctx, p, rows, err); err != nil {
			return err
		}
	}
}

// encode fills a block with rows. A row that the destination's types cannot hold is refused; without takes
// the keys of rows that are left out.
func (a *apply) encode(p place, b *block, rows []row, order uint64, without *digest) error {
	b.reset()
	without.reset()
	for i := range rows {
		r := &rows[i]
		if r.flag == flagKeep && !p.inbox {
			without.add(r.Key)
			continue
		}
		reason := ""
		if r.flag == flagUpsert {
			reason = r.Refused
		}
		if reason == "" {
			err := p.append(b, *r, order)
			if err == nil {
				continue
			}
			if !errors.Is(err, errRefused) {
				return err
			}
			reason = err.Error()
		}
		if r.flag == flagUpsert {
			var err error
			if r.flag, err = a.refuse(p.tg, p.tg.keyText(r), r.Seq, reason); err != nil {
				return err
			}
			if r.flag == flagDelete || p.inbox {
				// The key alone. One that cannot be written down is not there either.
				err = p.append(b, *r, order)
			}
			if err != nil && !errors.Is(err, errRefused) {
				return err
			}
		}
		without.add(r.Key)
	}
	return nil
}

// keyText is the key as cdc_quarantine prints it.
func (tg *target) keyText(r *row) string {
	key := make(change.Row, len(tg.key))
	for i, k := range tg.key {
		key[i] = r.Row[r.cols[k]]
	}
	return sinks.FormatKey(key)
}

// pourAll moves what the inboxes hold to where their tables are kept.
func (a *apply) pourAll(ctx context.Context) error {
	for _, from := range slices.Sorted(maps.Keys(a.st.targets)) {
		if in := a.inboxes[a.st.targets[from]]; in != nil {
			if err := a.pour(ctx, in, a.place(in.tg)); err != nil {
				return err
			}
		}
	}
	return nil
}
