package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// A small batch travels as parameters of prepared statements, all of them in one round trip and COMMIT in
// another. A temporary table costs more than it gains there: emptying one takes the server about a
// millisecond at each commit.

// smallRows bounds the events of a small batch.
const smallRows = 1000

// isSmall reports whether the batch is a small one that asks for nothing but rows.
func (a *apply) isSmall() bool {
	plain := a.b.Kind == change.Changes || a.b.Kind == change.Idle || a.step.Skip
	if !plain || a.b.Rows > smallRows || len(a.step.Done) > 0 || !maps.Equal(a.st.states, a.step.States) {
		return false
	}
	for _, shape := range a.b.Tables {
		if tg := a.st.targets[shape.ID.String()]; tg != nil && !shape.SameShape(tg.table) {
			return false
		}
	}
	return true
}

// call is one statement with its parameters in binary form.
type call struct {
	step, sql string
	params    [][]byte
}

func (a *apply) applySmall(ctx context.Context) error {
	calls, err := a.smallCalls(ctx)
	if err != nil {
		return err
	}
	if err := a.s.before("small batch"); err != nil {
		return err
	}
	if err := a.s.sendAll(ctx, calls); err != nil {
		// Nothing was committed; a connection that is still there has a failed transaction to end.
		if !a.s.conn.IsClosed() {
			if _, rb := a.s.conn.Exec(context.WithoutCancel(ctx), "ROLLBACK"); rb != nil {
				a.s.drop()
			}
		}
		if errors.Is(err, errNoRow) {
			return a.s.notMine(ctx, a.b.Stream)
		}
		return a.refused(err)
	}
	err = a.s.after("small batch")
	if err == nil {
		err = a.s.before("commit")
	}
	if err != nil {
		_, rb := a.s.conn.Exec(context.WithoutCancel(ctx), "ROLLBACK")
		return errors.Join(err, rb)
	}
	tag, err := a.s.conn.Exec(ctx, "COMMIT")
	if err == nil && tag.String() != "COMMIT" {
		return fmt.Errorf("commit: the server answered %s", tag)
	}
	return a.commitOutcome(err)
}

// smallCalls nets the batch's rows and makes the statements of its transaction.
func (a *apply) smallCalls(ctx context.Context) ([]call, error) {
	texts, err := a.s.fenceArgs(a.b, a.st.mark)
	if err != nil {
		return nil, err
	}
	fence := call{step: "progress", sql: a.s.fenceSQL()}
	for _, t := range texts {
		if t == nil {
			fence.params = append(fence.params, nil)
			continue
		}
		fence.params = append(fence.params, []byte(*t))
	}
	calls := []call{fence}
	if a.b.Rows == 0 || a.step.Skip {
		return calls, nil
	}
	fold, err := a.read(ctx, func(*sinks.Fold) error { return errAgain })
	if err != nil {
		return nil, err
	}
	for _, t := range fold.Tables() {
		tg := a.st.targets[t]
		if tg.quarantined || a.step.Route(t) == sinks.ToBoth {
			return nil, errAgain
		}
		more, err := a.place(tg).smallCalls(fold.Drain(t))
		if errors.Is(err, errRefused) {
			return nil, errAgain
		}
		if err != nil {
			return nil, err
		}
		calls = append(calls, more...)
	}
	return calls, nil
}

// smallCalls makes the statements of one table: deletes, rows whose unique values move, upserts.
func (p place) smallCalls(nets []sinks.Net) ([]call, error) {
	deletes, upserts := map[int][]*sinks.Net{}, map[int][]*sinks.Net{}
	var all []*sinks.Net
	for i := range nets {
		n := &nets[i]
		cols, err := p.tg.mapping(n.Table)
		if err != nil {
			return nil, err
		}
		if n.Refused != "" {
			return nil, errRefused
		}
		pattern := p.tg.pattern(n, cols)
		if n.Delete {
			deletes[pattern] = append(deletes[pattern], n)
			continue
		}
		upserts[pattern], all = append(upserts[pattern], n), append(all, n)
	}
	var calls []call
	add := func(step string, nets []*sinks.Net, want func(int) bool, sql func(source string) string) error {
		source, params, err := p.tg.arrays(nets, want)
		if err == nil {
			calls = append(calls, call{step, sql(source), params})
		}
		return err
	}
	for _, nulls := range slices.Sorted(maps.Keys(deletes)) {
		err := add("delete", deletes[nulls], p.tg.table.IsKey, func(source string) string { return p.remove(source, p.tg.keyMatch(nulls)) })
		if err != nil {
			return nil, err
		}
	}
	every := func(int) bool { return true }
	if len(p.uniques) > 0 {
		for _, nulls := range slices.Sorted(maps.Keys(upserts)) {
			err := add("delete moved", upserts[nulls], every, func(source string) string { return p.removeMoved(source, true, p.tg.keyMatch(nulls)) })
			if err != nil {
				return nil, err
			}
		}
	}
	if len(all) == 0 {
		return calls, nil
	}
	return calls, add("upsert", all, every, func(source string) string { return p.upsert(source, true, "true") })
}

// pattern is the set of key columns that are NULL, as a bit mask.
func (tg *target) pattern(n *sinks.Net, cols []int) int {
	nulls := 0
	for i, k := range tg.key {
		if n.Row[cols[k]].IsNull() {
			nulls |= 1 << i
		}
	}
	return nulls
}

// elementOID is the type of a form's array elements.
var elementOID = [...]uint32{
	formInt2: 21, formInt4: 23, formInt8: 20, formNumeric: 1700, formFloat4: 700, formFloat8: 701, formText: 25,
	formBytea: 17, formDate: 1082, formInterval: 1186, formTimestamp: 1114, formTimestamptz: 1184, formBits: 1562, formJSON: 25,
}

// arrays turns rows into one array parameter per wanted column, and a subquery that makes rows of them.
func (tg *target) arrays(nets []*sinks.Net, want func(int) bool) (source string, params [][]byte, err error) {
	var unnest, names, exprs []string
	for i := range tg.columns {
		c := &tg.columns[i]
		if !want(i) {
			continue
		}
		array := newArray(c.form, len(nets))
		for _, n := range nets {
			cols, err := tg.mapping(n.Table)
			if err != nil {
				return "", nil, err
			}
			v := change.NullValue()
			if cols[i] >= 0 {
				v = n.Row[cols[i]]
			}
			if array, err = c.append(array, v); err != nil {
				return "", nil, fmt.Errorf("column %s: %w", c.name, err)
			}
		}
		params = append(params, array)
		unnest = append(unnest, fmt.Sprintf("$%d::%s[]", len(params), wire[c.form]))
		name := ident(c.name)
		names = append(names, name)
		if e := "u." + name; c.form == formText {
			exprs = append(exprs, e+collate(c.collation)+" AS "+name) // else it would have another collation than t
		} else {
			exprs = append(exprs, e)
		}
	}
	if tg.Extra.Position != "" {
		array := newArray(formInt8, len(nets))
		for _, n := range nets {
			array = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(array, 8), uint64(n.Seq))
		}
		params = append(params, array)
		unnest, names, exprs = append(unnest, fmt.Sprintf("$%d::bigint[]", len(params))), append(names, colSeq), append(exprs, "u."+colSeq)
	}
	return fmt.Sprintf("(SELECT %s FROM unnest(%s) AS u (%s))", strings.Join(exprs, ", "), strings.Join(unnest, ", "), strings.Join(names, ", ")), params, nil
}

// newArray begins an array parameter of n elements.
func newArray(f form, n int) []byte {
	array := make([]byte, 0, 20+16*n)
	for _, v := range [...]uint32{1, 1, elementOID[f], uint32(n), 1} { // dimensions, NULLs, type, size, lower bound
		array = binary.BigEndian.AppendUint32(array, v)
	}
	return array
}

// errNoRow says that the first statement, which takes the stream's row, found none.
var errNoRow = errors.New("the stream's row was not there")

// sendAll begins a transaction and runs the calls in one round trip.
func (s *Sink) sendAll(ctx context.Context, calls []call) error {
	names := make([]string, len(calls))
	for i, c := range calls {
		var err error
		if names[i], err = s.named(ctx, c); err != nil {
			return err
		}
	}
	p := s.conn.PgConn().StartPipeline(ctx)
	p.SendQueryParams("BEGIN", nil, nil, nil, nil)
	for i, c := range calls {
		if s.cfg.Observer.Statement != nil {
			s.cfg.Observer.Statement()
		}
		format := int16(1) // binary
		if i == 0 {
			format = 0
		}
		p.SendQueryPrepared(names[i], c.params, []int16{format}, nil)
	}
	err := p.Sync()
	for i := -1; err == nil && i < len(calls); i++ {
		var res any
		if res, err = p.GetResults(); err != nil {
			break
		}
		rr, ok := res.(*pgconn.ResultReader)
		if !ok {
			break // the answer to Sync
		}
		var tag pgconn.CommandTag
		if tag, err = rr.Close(); err != nil && i >= 0 {
			err = fmt.Errorf("%s: %w", calls[i].step, err)
		}
		if i == 0 && err == nil && tag.RowsAffected() != 1 {
			err = errNoRow
		}
	}
	if closeErr := p.Close(); err == nil {
		err = closeErr
	}
	return err
}

// named prepares a statement unless it is, and returns its name on this connection. Their number
// is bounded by tables, shapes and patterns of NULL keys.
func (s *Sink) named(ctx context.Context, c call) (string, error) {
	if name, ok := s.prepared[c.sql]; ok {
		return name, nil
	}
	name := "cdc_" + strconv.Itoa(len(s.prepared))
	if _, err := s.conn.PgConn().Prepare(ctx, name, c.sql, nil); err != nil {
		return "", fmt.Errorf("%s: %w", c.step, err)
	}
	s.prepared[c.sql] = name
	return name, nil
}
