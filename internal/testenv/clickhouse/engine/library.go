// Package engine runs ClickHouse inside this process: libchdb, which is the
// server's own code, called without cgo.
//
// A process opens one data folder and keeps it until it ends. The library
// may end the process by itself (a corrupt folder, no memory), so whoever
// uses it does so in a process that may die.
package engine

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"unsafe"

	"github.com/ebitengine/purego"
)

// library holds the C functions in use. Handles are opaque pointers to C
// memory; strings that a function returns belong to the handle it was asked
// about and end with it.
type library struct {
	setSignals func(enabled bool)
	connect    func(argc int32, argv **byte) *unsafe.Pointer
	closeConn  func(*unsafe.Pointer)

	query           func(conn unsafe.Pointer, sql *byte, sqlLen uintptr, format *byte, formatLen uintptr) unsafe.Pointer
	queryWithParams func(conn unsafe.Pointer, sql *byte, sqlLen uintptr, format *byte, formatLen uintptr,
		names **byte, nameLens *uintptr, values **byte, valueLens *uintptr, count uintptr) unsafe.Pointer

	insert       func(conn unsafe.Pointer, sql *byte, sqlLen uintptr, format *byte, formatLen uintptr) unsafe.Pointer
	insertAppend func(stream unsafe.Pointer, data *byte, size uintptr) int32
	insertDone   func(stream unsafe.Pointer) unsafe.Pointer
	insertError  func(stream unsafe.Pointer) *byte
	insertFree   func(stream unsafe.Pointer)

	resultBuffer       func(result unsafe.Pointer) *byte
	resultLength       func(result unsafe.Pointer) uintptr
	resultError        func(result unsafe.Pointer) *byte
	resultRows         func(result unsafe.Pointer) uint64
	resultBytes        func(result unsafe.Pointer) uint64
	resultStorageRows  func(result unsafe.Pointer) uint64
	resultStorageBytes func(result unsafe.Pointer) uint64
	resultRowsWritten  func(result unsafe.Pointer) uint64
	resultBytesWritten func(result unsafe.Pointer) uint64
	resultFree         func(result unsafe.Pointer)
}

// Engine is ClickHouse over one data folder. Its methods may be called from
// several goroutines.
type Engine struct {
	lib  library
	args []string
	base *Conn // keeps the folder open
}

// Open loads the shared library and opens the data folder. settings are the
// server's own, such as "max_server_memory_usage=2000000000".
func Open(libraryPath, dataDir string, settings ...string) (*Engine, error) {
	handle, err := purego.Dlopen(libraryPath, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", libraryPath, err)
	}
	e := &Engine{args: []string{"clickhouse", "--path=" + dataDir}}
	for _, s := range settings {
		e.args = append(e.args, "--"+s)
	}
	if err := e.lib.bind(handle); err != nil {
		return nil, fmt.Errorf("load %s: %w", libraryPath, err)
	}
	e.lib.setSignals(false) // they are Go's
	if e.base, err = e.Connect(); err != nil {
		return nil, fmt.Errorf("open the data folder %s: %w", dataDir, err)
	}
	return e, nil
}

// Close gives the data folder up. No connection may be in use.
func (e *Engine) Close() { e.base.Close() }

func (l *library) bind(handle uintptr) error {
	for _, f := range []struct {
		name string
		fn   any
	}{
		{"chdb_set_signal_handlers_enabled", &l.setSignals},
		{"chdb_connect", &l.connect},
		{"chdb_close_conn", &l.closeConn},
		{"chdb_query_n", &l.query},
		{"chdb_query_with_params_n", &l.queryWithParams},
		{"chdb_stream_insert_n", &l.insert},
		{"chdb_stream_append", &l.insertAppend},
		{"chdb_stream_done", &l.insertDone},
		{"chdb_stream_insert_error", &l.insertError},
		{"chdb_destroy_insert_stream", &l.insertFree},
		{"chdb_result_buffer", &l.resultBuffer},
		{"chdb_result_length", &l.resultLength},
		{"chdb_result_error", &l.resultError},
		{"chdb_result_rows_read", &l.resultRows},
		{"chdb_result_bytes_read", &l.resultBytes},
		{"chdb_result_storage_rows_read", &l.resultStorageRows},
		{"chdb_result_storage_bytes_read", &l.resultStorageBytes},
		{"chdb_result_rows_written", &l.resultRowsWritten},
		{"chdb_result_bytes_written", &l.resultBytesWritten},
		{"chdb_destroy_query_result", &l.resultFree},
	} {
		symbol, err := purego.Dlsym(handle, f.name)
		if err != nil {
			return fmt.Errorf("find %s: %w", f.name, err)
		}
		purego.RegisterFunc(f.fn, symbol)
	}
	return nil
}

// Connect opens a connection with settings of its own.
func (e *Engine) Connect() (*Conn, error) {
	argv := make([]*byte, len(e.args)+1)
	var pin runtime.Pinner
	defer pin.Unpin()
	for i, a := range e.args {
		argv[i] = cString(a)
		pin.Pin(argv[i])
	}
	pin.Pin(&argv[0])
	c := e.lib.connect(int32(len(e.args)), &argv[0])
	if c == nil || *c == nil {
		return nil, errors.New("connect to the engine: it refuses " + strings.Join(e.args[1:], " "))
	}
	return &Conn{lib: &e.lib, handle: c}, nil
}

// cString copies s and ends it with a NUL.
func cString(s string) *byte {
	b := make([]byte, len(s)+1)
	copy(b, s)
	return &b[0]
}

// goString copies a C string.
func goString(p *byte) string {
	if p == nil {
		return ""
	}
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(p), n)) != 0 {
		n++
	}
	return string(unsafe.Slice(p, n))
}
