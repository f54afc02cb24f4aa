package binlog

import (
	"errors"
	"fmt"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/schemas/change"
)

// Types of log events.
const (
	evQuery           = 2
	evRotate          = 4
	evFormat          = 15
	evXID             = 16
	evBeginLoad       = 17
	evExecuteLoad     = 18
	evTableMap        = 19
	evWriteRows1      = 23
	evUpdateRows1     = 24
	evDeleteRows1     = 25
	evIncident        = 26
	evHeartbeat       = 27
	evWriteRows2      = 30
	evUpdateRows2     = 31
	evDeleteRows2     = 32
	evGTID            = 33
	evAnonymous       = 34
	evPreviousGTIDs   = 35
	evXAPrepare       = 38
	evPartialRows     = 39
	evPayload         = 40
	evHeartbeat2      = 41
	evTaggedGTID      = 42
	evMariaGTID       = 162
	evMariaGTIDList   = 163
	evMariaQuery      = 165 // compressed
	evMariaWriteRows  = 166 // compressed, as the next five
	evMariaUpdateRows = 167
	evMariaDeleteRows = 168
	evMariaWriteRow2  = 169
	evMariaUpdate2    = 170
	evMariaDelete2    = 171
)

// rowsEvent is what kind of rows event an event type is.
type rowsEvent struct {
	op         change.Op
	extra      bool // has the extra data of version 2
	compressed bool // MariaDB
}

func rowsEventOf(typ byte) (e rowsEvent, ok bool) {
	switch typ {
	case evWriteRows1, evWriteRows2, evMariaWriteRows, evMariaWriteRow2:
		e.op = change.Insert
	case evUpdateRows1, evUpdateRows2, evMariaUpdateRows, evMariaUpdate2:
		e.op = change.Update
	case evDeleteRows1, evDeleteRows2, evMariaDeleteRows, evMariaDelete2:
		e.op = change.Delete
	default:
		return e, false
	}
	e.extra = typ >= evWriteRows2 && typ <= evDeleteRows2 || typ >= evMariaWriteRow2
	e.compressed = typ >= evMariaWriteRows
	return e, true
}

// Flags of a rows event.
const (
	flagNoForeignKeys = 2
	dummyTable        = 0xffffff // of rows events that only end a statement
)

// rows iterates over the rows of one event.
type rows struct {
	plan   *plan
	op     change.Op
	flags  change.Flags
	b      []byte // the rows not yet read
	origin *change.Origin
	no     int
}

// errPartial says that a row image lacks columns.
var errPartial = errors.New("the log carries partial rows: set binlog_row_image=FULL on the source, in its configuration and in every session that changes it")

// open reads the head of a rows event, whose plan is among those given. A nil plan afterwards without
// error is an event that carries no rows.
func (r *rows) open(typ byte, body []byte, plans map[uint64]*plan) error {
	*r = rows{}
	e, ok := rowsEventOf(typ)
	if !ok {
		return fmt.Errorf("event type %d is no rows event: %w", typ, cdc.ErrCorrupt)
	}
	c := cursor{b: body}
	id := c.uint48()
	flags := c.uint16()
	if e.extra {
		c.take(int(c.uint16()) - 2)
	}
	n := c.packed()
	if c.bad {
		return errShort
	}
	if id == dummyTable {
		return nil
	}
	p := plans[id]
	if p == nil {
		return fmt.Errorf("rows of table number %d without its table map: %w", id, cdc.ErrCorrupt)
	}
	if n != len(p.fields) {
		return fmt.Errorf("rows of %s have %d columns, their table map %d: %w", p.id, n, len(p.fields), cdc.ErrCorrupt)
	}
	whole := full(c.take((n+7)/8), n)
	if e.op == change.Update {
		whole = full(c.take((n+7)/8), n) && whole
	}
	if c.bad {
		return errShort
	}
	*r = rows{plan: p, op: e.op, b: c.b}
	if flags&flagNoForeignKeys != 0 {
		r.flags = change.NoForeignKeys
	}
	if !whole {
		return errPartial
	}
	if e.compressed {
		var err error
		if r.b, err = inflate(c.b); err != nil {
			return err
		}
	}
	return nil
}

// full reports whether all n columns are in a bitmap.
func full(bitmap []byte, n int) bool {
	for i, b := range bitmap {
		want := byte(0xff)
		if left := n - 8*i; left < 8 {
			want = 1<<left - 1 // the bits beyond the last column mean nothing
		}
		if b&want != want {
			return false
		}
	}
	return true
}

// inflate undoes MariaDB's compression of an event's body.
func inflate(b []byte) ([]byte, error) {
	if len(b) < 2 || int(b[0]&7) >= len(b) || b[0]&7 == 0 || b[0]&7 > 4 {
		return nil, fmt.Errorf("a compressed event: %w", errShort)
	}
	size := 0
	for _, c := range b[1 : 1+b[0]&7] {
		size = size<<8 | int(c)
	}
	// zlib packs at most about a thousand to one: a larger size is a lie that would cost memory.
	if size > 1100*len(b)+1024 {
		return nil, fmt.Errorf("a compressed event claims %d bytes: %w", size, cdc.ErrCorrupt)
	}
	out, err := gomysql.DecompressMariadbData(b)
	if err != nil {
		return nil, fmt.Errorf("a compressed event: %w: %w", cdc.ErrCorrupt, err)
	}
	return out, nil
}

// next decodes the next row; ok is false after the last one. Of a plan without table the event has no
// values.
func (r *rows) next(d *decoder) (e change.Event, ok bool, err error) {
	if len(r.b) == 0 {
		return e, false, nil
	}
	e = change.Event{Table: r.plan.table, Op: r.op, Flags: r.flags, Origin: r.origin, RowNo: r.no}
	r.no++
	if r.op != change.Insert {
		if e.Before, err = r.image(d); err != nil {
			return e, false, err
		}
	}
	if r.op != change.Delete {
		if e.After, err = r.image(d); err != nil {
			return e, false, err
		}
	}
	return e, true, nil
}

func (r *rows) image(d *decoder) (change.Row, error) {
	n := (len(r.plan.fields) + 7) / 8
	if len(r.b) < n || n == 0 {
		return nil, errShort
	}
	row, used, err := d.row(r.plan, r.b[n:], r.b[:n])
	if err != nil {
		return nil, err
	}
	r.b = r.b[n+used:]
	return row, nil
}
