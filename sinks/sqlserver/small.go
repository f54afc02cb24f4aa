package sqlserver

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// A small batch travels as the parameters of one call of sp_executesql. A bulk load alone takes four round trips, and
// a temporary table has to be emptied for each batch.

const (
	// smallRows bounds the events of a small batch, and the rows of each of its tables.
	smallRows = 100
	// smallBytes bounds its rows.
	smallBytes = 256 << 10
	// mostParameters of a call: SQL Server takes 2,100, among them the text and the declarations.
	mostParameters = 2000
)

// executeSQL is the procedure by its name. The driver would declare parameters by itself as long as each value is, and
// the server would compile a text anew for every length.
const executeSQL = "sp_executesql"

// smallPart is what a small batch says of one table: texts and declarations depend on nothing but the number of rows.
type smallPart struct {
	declared, rows, changes string
	// names of the parameters, row by row: the columns in their order and the operation.
	names []string
}

// smallForm tells the parts of a target apart.
type smallForm struct {
	rows   int
	staged bool
}

// roomFor is a number of rows that n fit into: so few that a table has few texts, so many that no more than half
// stay empty.
func roomFor(n int) int {
	room := 1
	for room < n {
		room *= 2
	}
	return min(room, smallRows)
}

// smallPart returns the target's part for a number of rows.
func (tg *target) smallPart(f smallForm) *smallPart {
	if p := tg.parts[f]; p != nil {
		return p
	}
	inbox, prefix := fmt.Sprintf("@rows%d", tg.number), fmt.Sprintf("t%dr", tg.number)
	p := &smallPart{}
	var columns, types, names, values, declared []string
	for _, c := range tg.columns {
		names, types = append(names, ident(c.dest)), append(types, c.declared().String())
		columns = append(columns, declare(c.dest, c.actual, c.collation, "NULL"))
	}
	operation := sqlType{name: "int"}
	names, types = append(names, ident(colOp)), append(types, operation.String())
	columns = append(columns, declare(colOp, operation, "", "NULL"))
	if tg.Extra.Position != "" {
		unit := sqlType{name: "bigint"}
		names, types = append(names, ident(colSeq)), append(types, unit.String())
		columns = append(columns, declare(colSeq, unit, "", "NULL"))
	}
	for r := range f.rows {
		row := make([]string, len(types))
		for c, typ := range types {
			name := fmt.Sprintf("%s%dc%d", prefix, r, c)
			p.names, row[c] = append(p.names, name), "@"+name
			declared = append(declared, "@"+name+" "+typ)
		}
		values = append(values, "("+strings.Join(row, ", ")+")")
	}
	p.declared = strings.Join(declared, ", ")
	p.rows = smallRowsSQL.with("inbox", inbox, "columns", strings.Join(columns, columnSeparator), "names", strings.Join(names, ", "),
		"values", strings.Join(values, columnSeparator))
	at := tg.visible(0)
	if f.staged {
		at = tg.staging()
	}
	var changes []string
	for _, st := range (work{place: at, source: inbox, inbox: true, removals: true}).statements("") {
		changes = append(changes, st.sql)
	}
	p.changes = strings.Join(changes, "\n")
	if tg.parts == nil {
		tg.parts = map[smallForm]*smallPart{}
	}
	tg.parts[f] = p
	return p
}

// isPlain reports whether the batch is a small one that asks for nothing but rows of known shapes.
func (a *apply) isPlain() bool {
	plain := a.b.Kind == change.Changes || a.b.Kind == change.Idle || a.step.Skip
	if a.careful || !plain || a.b.Rows > a.s.small || len(a.step.Done) > 0 || !maps.Equal(a.st.states, a.step.States) {
		return false
	}
	for _, shape := range a.b.Tables {
		if tg := a.st.targets[shape.ID.String()]; tg != nil && !shape.SameShape(tg.table) {
			return false
		}
	}
	return true
}

// small applies a batch by one message. Unless it is done, nothing was changed, and the batch needs the way of the
// large ones.
func (a *apply) small(ctx context.Context) (done bool, err error) {
	if !a.isPlain() {
		return false, nil
	}
	args, err := a.smallCall(ctx)
	if args == nil || err != nil {
		a.counts = sinks.Counts{}
		return false, err
	}
	if err := a.s.before("small batch"); err != nil {
		return true, a.rollback(ctx, err)
	}
	applied := 0
	found, err := a.s.session.one(ctx, executeSQL, args, &applied)
	switch {
	case numbers(err) != nil && !isBroken(err): // the server says that it did not
		return true, a.rollback(ctx, a.refused(fmt.Errorf("apply a small batch: %w", err)))
	case err != nil:
		return true, &unknownOutcome{fmt.Errorf("apply a small batch: %w", err)}
	case !found:
		return true, a.s.notMine(ctx, a.b.Stream)
	}
	if err := a.s.after("small batch"); err != nil {
		return true, &unknownOutcome{err}
	}
	return true, nil
}

// smallCall makes the arguments of the call; none if the batch is not one for it.
func (a *apply) smallCall(ctx context.Context) ([]any, error) {
	nets, err := a.smallNets(ctx)
	if nets == nil || err != nil {
		return nil, err
	}
	return a.smallMessage(nets)
}

// smallMessage is the call for net changes by table; none as above.
func (a *apply) smallMessage(nets map[string][]sinks.Net) ([]any, error) {
	fence, err := a.fenceParameters()
	if err != nil {
		return nil, err
	}
	var rows, changes []string
	declared, values := []string{fenceDeclared}, fence
	for _, from := range slices.Sorted(maps.Keys(nets)) {
		tg := a.st.targets[from]
		if len(nets[from]) > smallRows { // an event that changes a key is two of them
			return nil, nil
		}
		part := tg.smallPart(smallForm{rows: roomFor(len(nets[from])), staged: a.place(tg).name == tg.stage})
		if len(values)+len(part.names) > mostParameters {
			return nil, nil
		}
		args, err := part.arguments(tg, nets[from])
		if args == nil || err != nil {
			return nil, err
		}
		rows, changes = append(rows, part.rows), append(changes, part.changes)
		declared, values = append(declared, part.declared), append(values, args...)
	}
	text := smallSQL.with("rows", strings.Join(rows, "\n"), "fence", fenceSQL.with("progress", a.s.progress), "changes", strings.Join(changes, "\n"))
	return append([]any{text, strings.Join(declared, ", ")}, values...), nil
}

// smallNets reads the batch's net changes by table; nil without error if one of them needs more than a place in a table.
func (a *apply) smallNets(ctx context.Context) (map[string][]sinks.Net, error) {
	fold, n := sinks.NewFold(), 0
	nets := map[string][]sinks.Net{}
	if a.b.Rows == 0 || a.step.Skip {
		return nets, nil
	}
	for ev, err := range a.b.Events(ctx) {
		if err != nil {
			return nil, unreadable(err)
		}
		n++
		table := ev.Table.ID.String()
		switch a.step.Route(table) {
		case sinks.Ignore:
			continue
		case sinks.ToBoth:
			return nil, nil
		case sinks.ToTable, sinks.ToStaging:
		}
		if tg := a.st.targets[table]; tg.quarantined || ev.Refused != "" {
			return nil, nil
		}
		if err := fold.Add(table, &ev); err != nil {
			return nil, err
		}
		if fold.MemSize() > smallBytes {
			return nil, nil
		}
		a.counts.Event(table, ev.Op)
	}
	if n != a.b.Rows {
		return nil, a.incomplete(n)
	}
	for _, t := range fold.Tables() {
		nets[t] = fold.Drain(t)
	}
	return nets, nil
}

// arguments are the parameters of a table's rows; none if one of them is poison, or has another shape.
func (p *smallPart) arguments(tg *target, nets []sinks.Net) ([]any, error) {
	args := make([]any, 0, len(p.names))
	add := func(v any) { args = append(args, sql.Named(p.names[len(args)], v)) }
	for i := range nets {
		n := &nets[i]
		cols, err := tg.mapping(n.Table)
		if err != nil {
			return nil, nil //nolint:nilerr // which the other way has words for
		}
		op := opUpsert
		if n.Delete {
			op = opDelete
		}
		for j := range tg.columns {
			c := &tg.columns[j]
			if cols[j] < 0 || n.Delete && !tg.table.IsKey(j) {
				add(c.none())
				continue
			}
			v, err := c.argument(n.Row[cols[j]])
			if err != nil {
				return nil, nil //nolint:nilerr // as above
			}
			add(v)
		}
		if add(int64(op)); tg.Extra.Position != "" {
			add(int64(n.Seq))
		}
	}
	for len(args) < len(p.names) { // rows that are not there have no operation
		for j := range tg.columns {
			add(tg.columns[j].none())
		}
		if add(sql.NullInt64{}); tg.Extra.Position != "" {
			add(sql.NullInt64{})
		}
	}
	return args, nil
}
