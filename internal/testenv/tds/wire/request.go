package wire

import (
	"github.com/etlsandbox/cdc/internal/testenv/tds/datatype"
)

// Procedures that clients call by number.
const (
	ProcExecuteSQL = 10
	ProcPrepare    = 11
	ProcExecute    = 12
	ProcPrepExec   = 13
	ProcUnprepare  = 15
)

// Param is a parameter of a remote call.
type Param struct {
	Name string
	// Output says that the client wants the value back.
	Output bool
	Type   datatype.Type
	Value  datatype.Value
}

// Call is a remote call; ID is 0 if it is by name.
type Call struct {
	ID     uint16
	Name   string
	Params []Param
}

// mostParams is far above what SQL Server takes, which answers with an error of its own.
const mostParams = 10_000

// Bits of a parameter's status.
const (
	paramOutput  = 0x01
	paramDefault = 0x02
)

// ReadCall reads a remote call behind its headers. Several calls in one message are refused.
func (r *Reader) ReadCall() (Call, error) {
	var c Call
	if n := r.u16(); n == 0xffff {
		c.ID = r.u16()
	} else {
		c.Name = r.text(int(n) * 2)
	}
	if flags := r.u16(); flags != 0 && r.err == nil {
		r.fail("read a call: option flags %#x are not among those that the double implements", flags)
	}
	for r.More() {
		p := Param{Name: r.short()}
		status := r.u8()
		if status&^paramOutput != 0 {
			r.fail("read a call: parameter %s has status %#x, which the double does not implement", p.Name, status)
		}
		p.Output = status&paramOutput != 0
		info := r.Type()
		p.Type = info.Type
		p.Value = r.Value(info)
		c.Params = append(c.Params, p)
		if len(c.Params) > mostParams {
			r.fail("read a call: it has more than %d parameters", mostParams)
		}
	}
	return c, r.err
}

// Transaction requests.
const (
	TxBegin    = 5
	TxCommit   = 7
	TxRollback = 8
	TxSave     = 9
)

// TxRequest asks for the begin or the end of a transaction.
type TxRequest struct {
	Kind uint16
	// Isolation is that of a transaction that begins, 0 for the session's.
	Isolation byte
	Name      string
	// Begin says that another transaction is to begin after the end of this one.
	Begin bool
}

// ReadTransaction reads a transaction request behind its headers.
func (r *Reader) ReadTransaction() (TxRequest, error) {
	t := TxRequest{Kind: r.u16()}
	switch t.Kind {
	case TxBegin:
		t.Isolation = r.u8()
		t.Name = r.short()
	case TxCommit, TxRollback:
		t.Name = r.short()
		t.Begin = r.u8()&1 != 0
	case TxSave:
		t.Name = r.short()
	}
	return t, r.err
}

// Bulk reads the rows of a bulk load.
type Bulk struct {
	r     *Reader
	infos []Info
	// Columns are the columns of the rows, as the client describes them.
	Columns []Column
}

// ReadBulk reads the description at the head of a bulk load.
func (r *Reader) ReadBulk() (*Bulk, error) {
	if token := r.u8(); token != tokenColumns {
		r.fail("read a bulk load: it begins with %#x", token)
	}
	b := &Bulk{r: r}
	for range r.u16() {
		if r.err != nil {
			break
		}
		r.u32() // user type
		r.u16() // flags
		i := r.Type()
		b.infos = append(b.infos, i)
		b.Columns = append(b.Columns, Column{Type: i.Type, Name: r.short()})
	}
	return b, r.err
}

// Next reads a row into row, which is as long as Columns; false after the last one.
func (b *Bulk) Next(row []datatype.Value) (bool, error) {
	if !b.r.More() {
		return false, b.r.err // a client that sends no row sends no end either
	}
	switch token := b.r.u8(); token {
	case tokenRow:
	case tokenDone:
		b.r.bytes(12)
		return false, b.r.err
	default:
		b.r.fail("read a bulk load: %#x is where a row should begin", token)
	}
	for i, info := range b.infos {
		row[i] = b.r.Value(info)
	}
	return true, b.r.err
}
