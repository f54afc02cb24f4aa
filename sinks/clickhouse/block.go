package clickhouse

import (
	"errors"
	"fmt"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// block is rows on their way into one table, column by column.
type block struct {
	table   string // quoted
	columns []column
	data    []data
	marks   []mark
	rows    int
}

// mark is where a column ends before a row.
type mark struct{ nulls, values int }

// place is a table that takes rows of a target, and the columns it has beside the target's.
type place struct {
	tg    *target
	table string // quoted
	// soft says that a deletion sets IsDeleted and keeps the row.
	soft bool
	// inbox says that the order of arrival counts.
	inbox bool
}

func (tg *target) visible() place { return place{tg: tg, table: tg.name, soft: tg.Soft} }

func (tg *target) staging(cover string) place { return place{tg: tg, table: tg.stage(cover)} }

func uintColumn(name string, bits int) column {
	return column{name: name, form: form{kind: kindUint, bits: bits}}
}

func (p place) newBlock() *block {
	b := &block{table: p.table, columns: append([]column(nil), p.tg.columns...)}
	if p.soft {
		b.columns = append(b.columns, column{name: p.tg.MarkColumn(), form: form{kind: kindBool}})
	}
	b.columns = append(b.columns, uintColumn(colVersion, 64), uintColumn(colFlag, 8))
	if p.inbox {
		b.columns = append(b.columns, uintColumn(colOrder, 64))
	}
	b.data, b.marks = make([]data, len(b.columns)), make([]mark, len(b.columns))
	return b
}

func (b *block) reset() {
	for i := range b.data {
		b.data[i].reset()
	}
	b.rows = 0
}

// row is a net change and what becomes of its key.
type row struct {
	*sinks.Net
	flag int
	cols []int // index of each target column in Net.Row
}

// append adds a row to a block of the place. The error says why the destination cannot hold it; the block is
// then as before.
func (p place) append(b *block, r row, order uint64) error {
	for i := range p.tg.columns {
		b.marks[i] = mark{len(b.data[i].nulls), len(b.data[i].values)}
		if err := b.value(p.tg, i, r); err != nil {
			for j := range i {
				b.data[j].cut(b.marks[j])
			}
			return fmt.Errorf("column %s: %w", p.tg.columns[i].name, err)
		}
	}
	n, flag := len(p.tg.columns), r.flag
	if p.soft {
		gone := byte(0)
		if flag == flagDelete {
			gone, flag = 1, flagUpsert
		}
		b.data[n].values = append(b.data[n].values, gone)
		n++
	}
	b.data[n].values = appendBits(b.data[n].values, 64, uint64(r.Seq))
	b.data[n+1].values = append(b.data[n+1].values, byte(flag))
	if p.inbox {
		b.data[n+2].values = appendBits(b.data[n+2].values, 64, order)
	}
	b.rows++
	return nil
}

// value appends a column of a row. Of rows that only say something of their key, the other values are given
// as far as they are known.
func (b *block) value(tg *target, i int, r row) error {
	c := &b.columns[i]
	v := change.AbsentValue()
	if r.cols[i] >= 0 {
		v = r.Row[r.cols[i]]
	} else if r.flag == flagUpsert {
		b.data[i].zero(c, true)
		return nil
	}
	err := b.data[i].append(c, v)
	if r.flag == flagUpsert || tg.table.IsKey(i) || !errors.Is(err, errRefused) {
		return err
	}
	b.data[i].zero(c, true)
	return nil
}
