package clickhouse

import (
	"context"
	"fmt"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// cover is the cover whose staging table the target has, in the batch that ends it, too.
func (a *apply) cover(tg *target) string {
	if st, ok := a.step.States[tg.From]; ok {
		return st.Cover
	}
	return a.st.states[tg.From].Cover
}

// void makes the staging table of a cover that begins. That of the one before goes when the new one is
// written down.
func (a *apply) void(ctx context.Context, tg *target) error {
	return a.s.exec(ctx, "create staging", tg.createStage(a.cover(tg), scratchComment(a.st.name)), nil)
}

// dropStages drops the staging tables of covers that are void or done, once that is written down: nobody
// needs them any more, whoever comes next.
func (a *apply) dropStages() {
	for from, was := range a.st.states {
		now, known := a.step.States[from]
		tg := a.st.targets[from]
		if tg == nil || was.Cover == "" || known && now.Cover == was.Cover {
			continue
		}
		// A table that is left behind is litter, and no reason to say that the batch failed.
		a.s.litter = append(a.s.litter, tg.stage(was.Cover))
	}
}

// chunk makes a key range of wherever its table is kept exactly what the batch holds. What goes to a staging
// table was written under the chunk's own Seq: whatever else lies in the range is older and goes. What is
// shown is compared first.
func (a *apply) chunk(ctx context.Context, compared *target) error {
	tg := a.st.targets[a.b.Cover.Table]
	if tg == nil || a.step.Route(tg.From) == sinks.Ignore {
		return nil
	}
	if !a.step.DeleteRange {
		return a.pourAll(ctx)
	}
	within, err := tg.rangeCondition(a.b.Cover.Range)
	if err != nil {
		return &sinks.StopError{What: "read a chunk's range", Err: err, Hint: "it was written by a later version, or its table's key has changed: resync the table"}
	}
	if compared == nil {
		if err := a.pourAll(ctx); err != nil {
			return err
		}
		return a.clearOlder(ctx, tg, within)
	}
	if err := a.begin(ctx, true); err != nil { // an empty chunk deletes all of its range
		return err
	}
	in, err := a.inbox(ctx, tg)
	if err != nil {
		return err
	}
	if err := a.clearRange(ctx, tg); err != nil {
		return err
	}
	return a.transfer(ctx, "chunk", transfer{
		to: tg.visible(), from: in.table, aside: in.table, scope: within, upserts: true, deletes: true, seq: a.b.To,
	})
}

// clearOlder deletes what a staging table holds in a range from before the chunk.
func (a *apply) clearOlder(ctx context.Context, tg *target, within string) error {
	if err := a.begin(ctx, false); err != nil {
		return err
	}
	if err := a.fence(ctx); err != nil {
		return err
	}
	p := a.place(tg)
	cols := list(tg.names())
	return a.s.exec(ctx, "clear older", fmt.Sprintf("INSERT INTO %s (%s, %s, %s) SELECT %[2]s, toUInt64(%[5]d), 1 FROM %[1]s FINAL WHERE %[6]s AND %[3]s < %[5]d",
		p.table, cols, colVersion, colFlag, a.b.To, within), once())
}

// note keeps keys in the staging table: a cover without key order has seen them.
func (a *apply) note(ctx context.Context, tg *target, rows []row) error {
	p := tg.staging(a.cover(tg))
	var seen []row
	for _, r := range rows {
		if r.flag != flagDelete {
			seen = append(seen, row{Net: r.Net, cols: keyOnly(tg, r.cols), flag: flagUpsert})
		}
	}
	return a.send(ctx, p, "notes", seen, nil, 0)
}

// keyOnly hides all but the key columns of a row.
func keyOnly(tg *target, cols []int) []int {
	out := make([]int, len(cols))
	for i := range cols {
		if out[i] = -1; tg.table.IsKey(i) {
			out[i] = cols[i]
		}
	}
	return out
}

// show makes what is shown equal to the staging table by the net difference.
func (a *apply) show(ctx context.Context, tg *target) error {
	t := transfer{
		to: tg.visible(), from: tg.stage(a.cover(tg)), scope: "1", upserts: true, deletes: true, seq: a.b.To,
	}
	if err := a.begin(ctx, false); err != nil {
		return err
	}
	if err := a.keepQuarantined(ctx, tg, a.step.Begun(tg.From)); err != nil {
		return err
	}
	if in := a.inboxes[tg]; in != nil {
		t.aside = in.table
	}
	if err := a.transfer(ctx, "show", t); err != nil {
		return err
	}
	return a.forget(ctx, tg, a.step.Begun(tg.From))
}

// sweep deletes the rows whose keys a cover without key order has not seen.
func (a *apply) sweep(ctx context.Context, tg *target) error {
	if err := a.begin(ctx, false); err != nil {
		return err
	}
	t := transfer{
		to: tg.visible(), from: tg.stage(a.cover(tg)), scope: "1", deletes: true, seq: a.b.To,
	}
	if err := a.transfer(ctx, "sweep", t); err != nil {
		return err
	}
	return a.forget(ctx, tg, a.step.Begun(tg.From))
}

// rangeCondition selects a key range, as a condition on the key columns.
func (tg *target) rangeCondition(r change.KeyRange) (string, error) {
	cond := "1"
	if r.HasLo {
		b, err := sinks.DecodeBound(r.Lo, tg.table.KeyTypes())
		if err != nil {
			return "", fmt.Errorf("lower bound of a range of %s: %w", tg.table.ID, err)
		}
		cond = "(" + tg.beyond(b, true) + ")"
	}
	if r.HasHi {
		b, err := sinks.DecodeBound(r.Hi, tg.table.KeyTypes())
		if err != nil {
			return "", fmt.Errorf("upper bound of a range of %s: %w", tg.table.ID, err)
		}
		cond += " AND (" + tg.beyond(b, false) + ")"
	}
	return cond, nil
}
