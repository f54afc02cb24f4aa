package clickhouse

import (
	"context"
	"fmt"
	"strings"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/etlsandbox/cdc/schemas/change"
)

// inbox is a table of one attempt at one batch: its name is never used again, so nobody who is late writes
// into it, and nobody else drops it.
type inbox struct {
	tg    *target
	table string // quoted
	order uint64
}

func (in *inbox) place() place { return place{tg: in.tg, table: in.table, inbox: true} }

func (a *apply) inbox(ctx context.Context, tg *target) (*inbox, error) {
	if in := a.inboxes[tg]; in != nil {
		return in, nil
	}
	name := a.s.scratchName("in")
	in := &inbox{tg: tg, table: quoteName(tg.database, name)}
	a.inboxes[tg] = in
	return in, a.s.exec(ctx, "create inbox", tg.createInbox(name, scratchComment(a.st.name)), nil)
}

// scratchName is the name of a table of one batch.
func (s *Sink) scratchName(use string) string {
	s.inboxes++
	return fmt.Sprintf("%s%s_%s_%d", stagePrefix, use, s.writer, s.inboxes)
}

// transfer makes a place equal to a table, within a scope, by the difference: rows that are right are not
// written.
type transfer struct {
	to   place
	from string // quoted: a staging table, or an inbox
	// aside is an inbox with keys whose rows are set aside, each with what becomes of it; "" none. It may be
	// from itself.
	aside string
	// scope is a condition on the place's rows that may be touched.
	scope string
	// upserts and deletes say what is done.
	upserts, deletes bool
	seq              change.Seq
}

func (t transfer) targetColumns() string {
	cols := list(t.to.tg.names())
	if t.to.soft {
		cols += ", " + quoteName(t.to.tg.MarkColumn())
	}
	return cols + ", " + colVersion + ", " + colFlag
}

// present is the condition that a row of the place is shown.
func (t transfer) present() string {
	if t.to.soft {
		return t.scope + " AND NOT " + quoteName(t.to.tg.MarkColumn())
	}
	return t.scope
}

// different selects rows that the place lacks or has otherwise.
func (t transfer) different() string {
	cols, where := list(t.to.tg.names()), fmt.Sprintf("%s = %d", colFlag, flagUpsert)
	if t.aside != "" && t.aside != t.from {
		where += fmt.Sprintf(" AND %s NOT IN (SELECT %s FROM %s)", t.to.tg.keyTuple(), list(t.to.tg.keyNames()), t.aside)
	}
	return fmt.Sprintf("SELECT %s FROM %s FINAL WHERE %s EXCEPT SELECT %[1]s FROM %[4]s FINAL WHERE %[5]s",
		cols, t.from, where, t.to.table, t.present())
}

// surplus selects rows that the place has and should not.
func (t transfer) surplus() string {
	tg := t.to.tg
	keys := list(tg.keyNames())
	in := func(table, cond string) string {
		return fmt.Sprintf("%s IN (SELECT %s FROM %s FINAL WHERE %s)", tg.keyTuple(), keys, table, cond)
	}
	where := fmt.Sprintf("NOT (%s)", in(t.from, fmt.Sprintf("%s <> %d", colFlag, flagDelete)))
	if t.aside != "" && t.aside != t.from {
		where = fmt.Sprintf("(%s OR %s) AND NOT (%s)", where, in(t.aside, fmt.Sprintf("%s = %d", colFlag, flagDelete)),
			in(t.aside, fmt.Sprintf("%s = %d", colFlag, flagKeep)))
	}
	return fmt.Sprintf("SELECT %s FROM %s FINAL WHERE %s AND %s", list(tg.names()), t.to.table, t.present(), where)
}

// sql is the one statement that does it: what it writes is one block as far as it fits into one, so that
// readers see its removals and its rows in the same moment.
func (t transfer) sql() string {
	cols := list(t.to.tg.names())
	var selects []string
	if t.upserts {
		soft := ""
		if t.to.soft {
			soft = "false, "
		}
		selects = append(selects, fmt.Sprintf("SELECT %s, %stoUInt64(%d), toUInt8(0) FROM (%s)", cols, soft, t.seq, t.different()))
	}
	if t.deletes {
		end := fmt.Sprintf("toUInt64(%d), toUInt8(1)", t.seq)
		if t.to.soft {
			end = fmt.Sprintf("true, toUInt64(%d), toUInt8(0)", t.seq)
		}
		selects = append(selects, fmt.Sprintf("SELECT %s, %s FROM (%s)", cols, end, t.surplus()))
	}
	return fmt.Sprintf("INSERT INTO %s (%s) %s", t.to.table, t.targetColumns(), strings.Join(selects, " UNION ALL "))
}

// once says that a statement decides by itself what is left to do: it must not be passed over because an
// equal block was written before.
func once() ch.Settings { return ch.Settings{"insert_deduplicate": 0, "max_threads": 2} }

// transfer runs one. Rows that the destination refuses are set aside first.
func (a *apply) transfer(ctx context.Context, step string, t transfer) error {
	for {
		if err := a.fence(ctx); err != nil {
			return err
		}
		if err := a.s.unaltered(ctx, t.to.tg); err != nil {
			return err
		}
		err := a.s.exec(ctx, step, t.sql(), once())
		if !isPoison(err) {
			return err
		}
		in, errIn := a.inbox(ctx, t.to.tg)
		if errIn != nil {
			return errIn
		}
		t.aside = in.table
		if err := a.setAside(ctx, in, t.different(), err); err != nil {
			return err
		}
	}
}

// pour moves an inbox to a place: rows as they are, which fitted into no memory; of keys that go, what the
// place has of them. A deletion that carries the row's own values is one that no constraint refuses.
func (a *apply) pour(ctx context.Context, in *inbox, p place) error {
	tg := in.tg
	cols, keys := list(tg.names()), list(tg.keyNames())
	of := func(flag int) string { return fmt.Sprintf("FROM %s FINAL WHERE %s = %d", in.table, colFlag, flag) }
	t := transfer{to: p, scope: "1"}
	rows, soft := fmt.Sprintf("SELECT %s %s", cols, of(flagUpsert)), ""
	end := fmt.Sprintf("toUInt64(%d), toUInt8(1)", a.b.To)
	if p.soft {
		soft, end = "false, ", fmt.Sprintf("true, toUInt64(%d), toUInt8(0)", a.b.To)
	}
	sql := fmt.Sprintf("INSERT INTO %s (%s) SELECT %s, %s%s, %s %s UNION ALL SELECT %[3]s, %[8]s FROM %[1]s FINAL WHERE %[9]s AND %[10]s IN (SELECT %[11]s %[12]s)",
		p.table, t.targetColumns(), cols, soft, colVersion, colFlag, of(flagUpsert), end, t.present(), tg.keyTuple(), keys, of(flagDelete))
	for {
		if err := a.fence(ctx); err != nil {
			return err
		}
		if err := a.s.unaltered(ctx, tg); err != nil {
			return err
		}
		err := a.s.exec(ctx, "pour", sql, once())
		if !isPoison(err) {
			return err
		}
		if err := a.setAside(ctx, in, rows, err); err != nil {
			return err
		}
	}
}
