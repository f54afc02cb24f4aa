package binlog

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/schemas/change"
)

// tableMap notes the plan for the rows that follow. The same map comes before every statement: it is
// compiled once.
func (r *Reader) tableMap(body []byte) error {
	id, err := tableID(body)
	if err != nil {
		return err
	}
	if p := r.plans[id]; p != nil && bytes.Equal(p.raw, body) {
		return nil
	}
	m, err := parseTableMap(body)
	if err != nil {
		return fmt.Errorf("read a table map at %s:%d: %w", r.file, r.start, err)
	}
	r.plans[id] = r.compile(m, bytes.Clone(body))
	return nil
}

// errUntracked says that rows of a captured table came before anybody said how to read them.
var errUntracked = errors.New("the table is captured, and nothing says since when it exists: run cdc resync for it")

func (r *Reader) compile(m *tableMap, raw []byte) *plan {
	id := change.TableID{DB: m.db, Name: m.name}
	l := r.layouts[id]
	p := compile(m, l, r.src.Config().ZeroDates)
	p.raw = raw
	if l == nil && !r.paused[id] && r.filter.HasTable(id) {
		p.broken = errUntracked
	}
	return p
}

// openRows begins a rows event. A captured table whose rows cannot be read is paused here.
func (r *Reader) openRows(h header, body []byte) (Item, bool, error) {
	if r.tx == nil {
		return Item{}, false, r.fail(cdc.ErrCorrupt, "rows outside a transaction", "")
	}
	err := r.rows.open(h.typ, body, r.plans)
	if err != nil && !errors.Is(err, errPartial) {
		return Item{}, false, fmt.Errorf("read rows at %s:%d: %w", r.file, r.start, err)
	}
	p := r.rows.plan
	if p == nil {
		return Item{}, false, nil
	}
	reason := p.broken
	if reason == nil && err != nil && p.table != nil {
		reason = fmt.Errorf("rows of %s: %w", p.id, err)
	}
	if err != nil || p.uncountable {
		r.rows.plan = nil // not even their number is known
	} else if p.table != nil {
		r.rows.origin = r.origin()
	}
	if reason == nil {
		return Item{}, false, nil
	}
	item := r.pause(p.id, reason)
	if r.rows.plan != nil {
		for _, q := range r.plans { // the plans were made again: go on with the one that passes over
			if q.id == p.id && bytes.Equal(q.raw, p.raw) {
				r.rows.plan = q
			}
		}
		if r.rows.plan.uncountable {
			r.rows.plan = nil
		}
	}
	return item, true, nil
}

// partial handles an event of partial JSON updates.
func (r *Reader) partial(body []byte) (Item, bool, error) {
	id, err := tableID(body)
	if err != nil {
		return Item{}, false, err
	}
	p := r.plans[id]
	if p == nil || p.table == nil || r.tx == nil {
		return Item{}, false, nil
	}
	return r.pause(p.id, fmt.Errorf("rows of %s: the log carries partial JSON: set binlog_row_value_options='' on the source", p.id)), true, nil
}
