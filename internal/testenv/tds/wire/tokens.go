package wire

import (
	"encoding/binary"
	"io"

	"github.com/etlsandbox/cdc/internal/testenv/tds/datatype"
)

// Token identifiers of a reply, and of bulk data.
const (
	tokenReturnStatus = 0x79
	tokenColumns      = 0x81
	tokenError        = 0xaa
	tokenInfo         = 0xab
	tokenReturnValue  = 0xac
	tokenLoginAck     = 0xad
	tokenRow          = 0xd1
	tokenEnv          = 0xe3
	tokenDone         = 0xfd
	tokenDoneProc     = 0xfe
	tokenDoneInProc   = 0xff
)

// Kinds of changes of the environment.
const (
	envDatabase   = 1
	envLanguage   = 2
	envPacketSize = 4
	envCollation  = 7
	envBegin      = 8
	envCommit     = 9
	envRollback   = 10
	envReset      = 18
)

// serverCollation is that of the server and of every database.
const serverCollation = datatype.DefaultCollation

// Bits of a DONE token.
const (
	doneMore      = 0x01
	doneError     = 0x02
	doneCount     = 0x10
	doneAttention = 0x20
)

// Done ends a statement or a message.
type Done struct {
	// More says that results follow in the same message.
	More bool
	// Failed says that the statement failed; its error was written before.
	Failed bool
	// Attention confirms that the client's cancellation was taken.
	Attention bool
	// Counted says that Rows is the number of affected or returned rows.
	Counted bool
	Rows    int64
	// Select says that the rows were returned, not changed.
	Select bool
}

// Message is an error or a notice of the server.
type Message struct {
	Number int32
	State  byte
	// Class is the severity; 10 and less are notices.
	Class byte
	Text  string
	// Procedure and Line say where; both may be empty.
	Procedure string
	Line      int32
}

// Column describes a column of a result.
type Column struct {
	Name     string
	Type     datatype.Type
	Nullable bool
	// Identity and ReadOnly tell a bulk load what it may fill.
	Identity, ReadOnly bool
}

// Tokens writes the tokens of a reply. A failed write is kept: Err tells it.
type Tokens struct {
	w   io.Writer
	buf []byte
	err error
	// proc says that the reply answers an RPC, whose statements end otherwise.
	proc bool
}

// NewTokens writes to w, a PacketWriter; proc says that it answers an RPC.
func NewTokens(w io.Writer, proc bool) *Tokens { return &Tokens{w: w, proc: proc} }

// Err is the first failure to write.
func (t *Tokens) Err() error { return t.err }

// flushAt is when tokens are handed on.
const flushAt = 16 << 10

func (t *Tokens) added() {
	if len(t.buf) >= flushAt {
		t.Flush()
	}
}

// Flush hands what was written to the packets.
func (t *Tokens) Flush() {
	if t.err == nil {
		_, t.err = t.w.Write(t.buf)
	}
	t.buf = t.buf[:0]
}

func (t *Tokens) sized(token byte, body []byte) {
	t.buf = append(t.buf, token)
	t.buf = binary.LittleEndian.AppendUint16(t.buf, uint16(len(body)))
	t.buf = append(t.buf, body...)
	t.added()
}

func appendShort(b []byte, s string) []byte {
	b = append(b, byte(Units(s)))
	return append(b, UTF16(s)...)
}

func appendLong(b []byte, s string) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(Units(s)))
	return append(b, UTF16(s)...)
}

func (t *Tokens) env(kind byte, now, old []byte) {
	body := append([]byte{kind, byte(len(now))}, now...)
	body = append(body, byte(len(old)))
	t.sized(tokenEnv, append(body, old...))
}

func (t *Tokens) envText(kind byte, now, old string) {
	t.sized(tokenEnv, appendShort(appendShort([]byte{kind}, now), old))
}

// Database says that the session's database is another now.
func (t *Tokens) Database(now, old string) { t.envText(envDatabase, now, old) }

// SessionReset says that the session was made as if new.
func (t *Tokens) SessionReset() { t.env(envReset, nil, nil) }

// Begun, Committed and RolledBack tell of the transaction with that descriptor.
func (t *Tokens) Begun(tx uint64) { t.env(envBegin, descriptor(tx), nil) }

// Committed tells that the transaction was committed.
func (t *Tokens) Committed(tx uint64) { t.env(envCommit, nil, descriptor(tx)) }

// RolledBack tells that the transaction was rolled back, also when the server did so on its own.
func (t *Tokens) RolledBack(tx uint64) { t.env(envRollback, nil, descriptor(tx)) }

func descriptor(tx uint64) []byte { return binary.LittleEndian.AppendUint64(nil, tx) }

// serverName is what the double calls itself in its messages.
const serverName = "double"

// Message writes an error, or a notice if its class is 10 or less.
func (t *Tokens) Message(m Message) {
	body := binary.LittleEndian.AppendUint32(nil, uint32(m.Number))
	body = append(body, m.State, m.Class)
	body = appendLong(body, cut(m.Text, 2000))
	body = appendShort(body, serverName)
	body = appendShort(body, cut(m.Procedure, 100))
	body = binary.LittleEndian.AppendUint32(body, uint32(m.Line))
	token := byte(tokenError)
	if m.Class <= 10 {
		token = tokenInfo
	}
	t.sized(token, body)
}

// cut shortens s to n code points, so that a message fits into its token.
func cut(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

// Columns begins a result.
func (t *Tokens) Columns(columns []Column) {
	t.buf = append(t.buf, tokenColumns)
	t.buf = binary.LittleEndian.AppendUint16(t.buf, uint16(len(columns)))
	for _, c := range columns {
		t.buf = binary.LittleEndian.AppendUint32(t.buf, 0)
		t.buf = binary.LittleEndian.AppendUint16(t.buf, c.flags())
		t.buf = appendType(t.buf, c.Type)
		t.buf = appendShort(t.buf, c.Name)
	}
	t.added()
}

func (c Column) flags() uint16 {
	var f uint16
	if c.Nullable {
		f |= 0x01
	}
	if !c.ReadOnly {
		f |= 0x08
	}
	if c.Identity {
		f |= 0x10
	}
	return f
}

// Row writes a row of the result that Columns began. An error says that a value is none of its column's type.
func (t *Tokens) Row(columns []Column, row []datatype.Value) error {
	start := len(t.buf)
	t.buf = append(t.buf, tokenRow)
	var err error
	for i, v := range row {
		if t.buf, err = appendValue(t.buf, columns[i].Type, v); err != nil {
			t.buf = t.buf[:start]
			return err
		}
	}
	t.added()
	return nil
}

// ReturnStatus writes the status of a procedure, 0 unless it failed.
func (t *Tokens) ReturnStatus(status int32) {
	t.buf = append(t.buf, tokenReturnStatus)
	t.buf = binary.LittleEndian.AppendUint32(t.buf, uint32(status))
	t.added()
}

// ReturnValue writes an output parameter.
func (t *Tokens) ReturnValue(name string, typ datatype.Type, v datatype.Value) error {
	t.buf = append(t.buf, tokenReturnValue, 0, 0)
	t.buf = appendShort(t.buf, name)
	t.buf = append(t.buf, 1, 0, 0, 0, 0, 1, 0)
	t.buf = appendType(t.buf, typ)
	var err error
	t.buf, err = appendValue(t.buf, typ, v)
	t.added()
	return err
}

// Statement ends a statement; the message goes on.
func (t *Tokens) Statement(d Done) {
	token := byte(tokenDone)
	if t.proc {
		token = tokenDoneInProc
	}
	d.More = true
	t.done(token, d)
}

// End ends the message.
func (t *Tokens) End(d Done) {
	token := byte(tokenDone)
	if t.proc && !d.Attention {
		token = tokenDoneProc
	}
	t.done(token, d)
	t.Flush()
}

func (t *Tokens) done(token byte, d Done) {
	var status uint16
	for _, f := range []struct {
		set bool
		bit uint16
	}{{d.More, doneMore}, {d.Failed, doneError}, {d.Counted, doneCount}, {d.Attention, doneAttention}} {
		if f.set {
			status |= f.bit
		}
	}
	command := uint16(0)
	if d.Select {
		command = 0xc1
	}
	t.buf = append(t.buf, token)
	t.buf = binary.LittleEndian.AppendUint16(t.buf, status)
	t.buf = binary.LittleEndian.AppendUint16(t.buf, command)
	t.buf = binary.LittleEndian.AppendUint64(t.buf, uint64(d.Rows))
	t.added()
}
