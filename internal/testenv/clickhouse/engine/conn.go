package engine

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"unsafe"
)

// Conn is one connection: one statement at a time.
type Conn struct {
	lib    *library
	handle *unsafe.Pointer
}

// Close ends the connection.
func (c *Conn) Close() { c.lib.closeConn(c.handle) }

// Stats say what a statement did.
type Stats struct {
	ResultRows, ResultBytes   uint64
	ReadRows, ReadBytes       uint64
	WrittenRows, WrittenBytes uint64
}

// Param is a query parameter, {Name:Type} in the text.
type Param struct{ Name, Value string }

// Query runs one statement and returns its whole result in the format. An
// error has the engine's own text: "Code: 60. DB::Exception: ...".
func (c *Conn) Query(sql, format string, params []Param) ([]byte, Stats, error) {
	s, f := cString(sql), cString(format)
	if len(params) == 0 {
		return c.take(c.lib.query(*c.handle, s, uintptr(len(sql)), f, uintptr(len(format))))
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	names, values := make([]*byte, len(params)), make([]*byte, len(params))
	nameLens, valueLens := make([]uintptr, len(params)), make([]uintptr, len(params))
	for i, p := range params {
		names[i], nameLens[i] = cString(p.Name), uintptr(len(p.Name))
		values[i], valueLens[i] = cString(p.Value), uintptr(len(p.Value))
		pin.Pin(names[i])
		pin.Pin(values[i])
	}
	return c.take(c.lib.queryWithParams(*c.handle, s, uintptr(len(sql)), f, uintptr(len(format)),
		&names[0], &nameLens[0], &values[0], &valueLens[0], uintptr(len(params))))
}

// Insert runs an INSERT whose rows come from data in the format. If data
// fails, nothing of what is not a complete block has been written.
func (c *Conn) Insert(sql, format string, data io.Reader) (Stats, error) {
	s, f := cString(sql), cString(format)
	stream := c.lib.insert(*c.handle, s, uintptr(len(sql)), f, uintptr(len(format)))
	if stream == nil {
		return Stats{}, errors.New("the engine begins no insert")
	}
	defer c.lib.insertFree(stream)
	if text := goString(c.lib.insertError(stream)); text != "" {
		return Stats{}, errors.New(text)
	}
	buf := make([]byte, 256<<10)
	for {
		n, err := data.Read(buf)
		if n > 0 && c.lib.insertAppend(stream, &buf[0], uintptr(n)) != 0 {
			return Stats{}, errors.New(goString(c.lib.insertError(stream)))
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Stats{}, fmt.Errorf("read the rows to insert: %w", err)
		}
	}
	_, st, err := c.take(c.lib.insertDone(stream))
	return st, err
}

// take copies a result and frees it.
func (c *Conn) take(result unsafe.Pointer) ([]byte, Stats, error) {
	if result == nil {
		return nil, Stats{}, errors.New("the engine gives no result")
	}
	l := c.lib
	defer l.resultFree(result)
	if text := goString(l.resultError(result)); text != "" {
		return nil, Stats{}, errors.New(text)
	}
	st := Stats{
		ResultRows: l.resultRows(result), ResultBytes: l.resultBytes(result),
		ReadRows: l.resultStorageRows(result), ReadBytes: l.resultStorageBytes(result),
		WrittenRows: l.resultRowsWritten(result), WrittenBytes: l.resultBytesWritten(result),
	}
	var out []byte
	if n := l.resultLength(result); n > 0 {
		out = append(out, unsafe.Slice(l.resultBuffer(result), n)...)
	}
	return out, st, nil
}
