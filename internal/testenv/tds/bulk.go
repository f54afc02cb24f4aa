package tds

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/etlsandbox/cdc/internal/testenv/tds/datatype"
	"github.com/etlsandbox/cdc/internal/testenv/tds/rewrite"
	"github.com/etlsandbox/cdc/internal/testenv/tds/tsql"
	"github.com/etlsandbox/cdc/internal/testenv/tds/wire"
)

// bulkTarget is what INSERT BULK has announced.
type bulkTarget struct {
	table   *rewrite.Table
	columns []rewrite.Column
	// announced are the types that INSERT BULK names.
	announced []datatype.Type
	// lock asks for a lock on the table, keepNulls says that NULL is no call for a default.
	lock, keepNulls bool
}

// announceBulk checks the target of a bulk load; its rows come in the next message.
func (s *session) announceBulk(ctx context.Context, x *tsql.InsertBulk) error {
	t, err := (&catalog{s}).Table(ctx, x.Table)
	if err != nil {
		return err
	}
	if t == nil || t.View {
		return &rewrite.Error{Number: 208, Text: fmt.Sprintf("Invalid object name '%s'.", strings.Join(x.Table, "."))}
	}
	b := &bulkTarget{table: t}
	for _, o := range x.Options {
		b.lock = b.lock || o == "TABLOCK"
		b.keepNulls = b.keepNulls || o == "KEEP_NULLS"
	}
	for _, def := range x.Columns {
		found := false
		for _, c := range t.Columns {
			if !strings.EqualFold(c.Name, def.Name) {
				continue
			}
			found = true
			if c.Identity {
				return &rewrite.Error{Number: rewrite.Refusal, Text: "the double does not implement bulk loads into an identity column (" + c.Name + ")"}
			}
			b.columns, b.announced = append(b.columns, c), append(b.announced, def.Type)
		}
		if !found {
			return &rewrite.Error{Number: 207, Text: fmt.Sprintf("Invalid column name '%s'.", def.Name)}
		}
	}
	if !slices.Contains(x.Options, "CHECK_CONSTRAINTS") {
		checks, err := s.rows(ctx, "SELECT 1 FROM pg_catalog.pg_constraint WHERE conrelid = $1::oid AND contype = 'c' LIMIT 1", []datatype.Value{datatype.Of(fmt.Sprint(uint32(t.ID)))})
		if err != nil {
			return err
		}
		if len(checks) > 0 {
			return &rewrite.Error{Number: rewrite.Refusal, Text: "the double does not implement a bulk load that passes over CHECK constraints: say CHECK_CONSTRAINTS"}
		}
	}
	s.bulk = b
	return nil
}

// serveBulk loads the rows of a message into the announced table.
func (s *session) serveBulk(ctx context.Context, body *message) error {
	target := s.bulk
	s.bulk = nil
	if target == nil {
		return &rewrite.Error{Number: rewrite.Refusal, Text: "a bulk load came that no INSERT BULK has announced"}
	}
	if s.tx.doomed {
		return &rewrite.Error{Number: 3930, Text: "The current transaction cannot be committed and cannot support operations that write to the log file. Roll back the transaction."}
	}
	after, err := s.step(ctx, KindBulk, target.table.Title)
	if err == nil {
		if err = s.load(ctx, body, target); err == nil {
			err = after()
		}
	}
	var known *rewrite.Error
	if errors.As(err, &known) {
		if _, endErr := s.afterError(ctx, known); endErr != nil {
			return endErr
		}
	}
	return s.interrupted(ctx, err)
}

func (s *session) load(ctx context.Context, body *message, target *bulkTarget) error {
	r := wire.NewReader(body)
	bulk, err := r.ReadBulk()
	if err != nil {
		return protocolError(err)
	}
	if len(bulk.Columns) != len(target.columns) {
		return &rewrite.Error{Number: rewrite.Refusal, Text: fmt.Sprintf("a bulk load of %d columns came, %d were announced", len(bulk.Columns), len(target.columns))}
	}
	var names []string
	for i, c := range target.columns {
		said, sent := target.announced[i], bulk.Columns[i].Type
		if said.Kind != sent.Kind || said.Precision != sent.Precision || said.Scale != sent.Scale {
			return &rewrite.Error{Number: 4816, Text: fmt.Sprintf("Invalid column type from bcp client for colid %d.", i+1)}
		}
		if !compatible(bulk.Columns[i].Type, c.Type) {
			return &rewrite.Error{Number: rewrite.Refusal, Text: fmt.Sprintf("the double does not implement the bulk load of %s into column %s, which is %s", bulk.Columns[i].Type, c.Name, c.Type)}
		}
		names = append(names, rewrite.Ident(c.Name))
	}
	var n int64
	err = s.atomically(ctx, target.lock && !target.table.Temp, func() error {
		if target.lock && !target.table.Temp {
			if err := s.command(ctx, "LOCK TABLE "+target.table.SQL()+" IN SHARE ROW EXCLUSIVE MODE"); err != nil {
				return err
			}
		}
		rows := &bulkRows{bulk: bulk, target: target, row: make([]datatype.Value, len(names)), body: body}
		tag, err := s.pg.CopyFrom(ctx, rows, fmt.Sprintf("COPY %s (%s) FROM STDIN", target.table.SQL(), strings.Join(names, ", ")))
		if rows.failed != nil {
			return rows.failed
		}
		if err != nil {
			return s.failure(ctx, err)
		}
		n = tag.RowsAffected()
		return nil
	})
	if err != nil {
		return err
	}
	s.rowCount = n
	s.reply.Statement(wire.Done{Counted: !s.options.noCount, Rows: n})
	return nil
}

// compatible reports that values of one type go into a column of another as they are, but for their length, which is
// checked value by value.
func compatible(from, to datatype.Type) bool {
	switch {
	case from.IsText() && to.IsText(), from.IsBinary() && to.IsBinary():
		return to.Kind != datatype.NChar && to.Kind != datatype.Char && to.Kind != datatype.Binary
	case from.Kind == datatype.Decimal && to.Kind == datatype.Decimal:
		return from.Scale == to.Scale
	case from.IsTemporal():
		return from.Kind == to.Kind && from.Scale <= to.Scale
	}
	return from.Kind == to.Kind
}

// bulkRows gives PostgreSQL the rows of a bulk load in the form of COPY, as they come in.
type bulkRows struct {
	bulk   *wire.Bulk
	target *bulkTarget
	body   *message
	row    []datatype.Value
	n      int
	buf    []byte
	failed error
	done   bool
}

// Read implements io.Reader.
func (r *bulkRows) Read(b []byte) (int, error) {
	for len(r.buf) == 0 {
		if r.done {
			return 0, io.EOF
		}
		if err := r.next(); err != nil {
			r.failed = err
			return 0, err
		}
	}
	n := copy(b, r.buf)
	r.buf = r.buf[n:]
	return n, nil
}

func (r *bulkRows) next() error {
	r.buf = r.buf[:0]
	for len(r.buf) < 32<<10 {
		more, err := r.bulk.Next(r.row)
		if err != nil {
			return protocolError(err)
		}
		if !more {
			if _, err := io.Copy(io.Discard, r.body); err != nil {
				return err
			}
			if r.body.ignored() {
				return &rewrite.Error{Number: rewrite.Refusal, Text: "the client took the bulk load back"}
			}
			r.done = true
			return nil
		}
		r.n++
		for i, v := range r.row {
			if i > 0 {
				r.buf = append(r.buf, '\t')
			}
			c := r.target.columns[i]
			if v.Null && c.Filled && !r.target.keepNulls {
				return &rewrite.Error{Number: rewrite.Refusal, Text: "the double does not implement a bulk load without KEEP_NULLS that leaves column " + c.Name + " to its default"}
			}
			if v, err = fits(v, c, i+1); err != nil {
				return err
			}
			r.buf = appendCopy(r.buf, v)
		}
		r.buf = append(r.buf, '\n')
	}
	return nil
}

// fits checks a value's length as the server does when it reads it from a bulk load.
func fits(v datatype.Value, c rewrite.Column, n int) (datatype.Value, error) {
	if v.Null || c.Type.Length == datatype.Max {
		return v, nil
	}
	size := 0
	switch {
	case c.Type.IsUnicode():
		if size = len(v.Text); size > c.Type.Length {
			size = wire.Units(v.Text)
		}
	case c.Type.IsText():
		size = len(v.Text)
		if !c.Type.Collation.UTF8() && wire.Units(v.Text) != size {
			return v, &rewrite.Error{Number: rewrite.Refusal, Text: "the double does not implement text beyond ASCII in varchar without a UTF-8 collation (column " + c.Name + ")"}
		}
	case c.Type.IsBinary():
		size = len(v.Text)/2 - 1
	default:
		return v, nil
	}
	if size > c.Type.Length {
		return v, &rewrite.Error{Number: 4815, Text: fmt.Sprintf("Received an invalid column length from the bcp client for colid %d.", n)}
	}
	return v, nil
}

// appendCopy writes a value in COPY's text form.
func appendCopy(b []byte, v datatype.Value) []byte {
	if v.Null {
		return append(b, `\N`...)
	}
	for i := 0; i < len(v.Text); i++ {
		switch c := v.Text[i]; c {
		case '\\':
			b = append(b, `\\`...)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			b = append(b, c)
		}
	}
	return b
}
