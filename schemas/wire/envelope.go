package wire

import (
	"fmt"
	"strconv"

	"github.com/etlsandbox/cdc/schemas/change"
)

// The headers of the two records that a change of key is written as.
const (
	HeaderNewKey = "__debezium.newkey" // on the delete: the key that the row has now
	HeaderOldKey = "__debezium.oldkey" // on the create: the key that the row had
)

// Header is a header of a data record.
type Header struct {
	Key   string
	Value []byte
}

// Record is one data record: Value is nil of a tombstone, Key is nil of a table without key. The
// slices are valid until the encoder's next call.
type Record struct {
	Key     []byte
	Value   []byte
	Headers []Header
}

// Encoder writes events as Debezium's envelope for MySQL and MariaDB (3.x field names and order),
// in the lossless settings that the joiner and the sinks read. Not safe for concurrent use.
type Encoder struct {
	// Tombstones: a delete is followed by a record with the same key and no value.
	Tombstones bool

	source string // "source":{"version":…,"connector":…,"name":…,"ts_ms":
	tables map[*change.Table]*tableNames
	key    []byte
	oldKey []byte
	value  []byte
	header [1]Header
}

// tableNames holds a table's field names ready to be appended.
type tableNames struct {
	fields []string // `"name":`, with a comma before all but the first
	keys   []string
	db     string // `","db":"…","sequence":null,"ts_us":`
	table  string // `,"table":"…","server_id":`
}

// NewEncoder returns an encoder for a stream: connector is "mysql" or "mariadb", name the topic prefix.
func NewEncoder(version, connector, name string) (*Encoder, error) {
	b := []byte(`,"source":{"version":`)
	var err error
	for i, s := range []string{version, connector, name} {
		if b, err = appendString(append(b, []string{"", `,"connector":`, `,"name":`}[i]...), s); err != nil {
			return nil, fmt.Errorf("make encoder of stream %q: %w", name, err)
		}
	}
	return &Encoder{Tombstones: true, source: string(append(b, `,"ts_ms":`...)), tables: map[*change.Table]*tableNames{}}, nil
}

// Records encodes an event as one to three records, in the order in which they must be written, and
// gives each to emit. A change of the key is a delete, a tombstone and a create, as Debezium writes it.
// nowMicros is the time of processing, microseconds since the epoch.
func (e *Encoder) Records(ev *change.Event, nowMicros int64, emit func(Record) error) error {
	n, err := e.names(ev.Table)
	if err != nil {
		return err
	}
	if ev.Op == change.Update && len(ev.Table.Key) > 0 {
		moved, err := keyMoved(ev)
		if err != nil {
			return err
		}
		if moved {
			return e.moveRecords(n, ev, nowMicros, emit)
		}
	}
	row := ev.After
	if ev.Op == change.Delete {
		row = ev.Before
	}
	if e.key, err = appendKey(e.key[:0], n, ev.Table, row); err != nil {
		return err
	}
	return e.emit(n, ev, nowMicros, nil, emit)
}

func (e *Encoder) emit(n *tableNames, ev *change.Event, now int64, headers []Header, emit func(Record) error) (err error) {
	if e.value, err = e.appendEnvelope(e.value[:0], n, ev, now); err != nil {
		return err
	}
	var key []byte
	if len(ev.Table.Key) > 0 {
		key = e.key
	}
	if err := emit(Record{Key: key, Value: e.value, Headers: headers}); err != nil {
		return err
	}
	if ev.Op == change.Delete && e.Tombstones && key != nil {
		return emit(Record{Key: key, Headers: headers})
	}
	return nil
}

func (e *Encoder) moveRecords(n *tableNames, ev *change.Event, now int64, emit func(Record) error) (err error) {
	if e.oldKey, err = appendKey(e.oldKey[:0], n, ev.Table, ev.Before); err != nil {
		return err
	}
	if e.key, err = appendKey(e.key[:0], n, ev.Table, ev.After); err != nil {
		return err
	}
	gone, came := *ev, *ev
	gone.Op, gone.After = change.Delete, nil
	came.Op, came.Before = change.Insert, nil
	e.key, e.oldKey = e.oldKey, e.key
	e.header[0] = Header{HeaderNewKey, e.oldKey}
	if err := e.emit(n, &gone, now, e.header[:], emit); err != nil {
		return err
	}
	e.key, e.oldKey = e.oldKey, e.key
	e.header[0] = Header{HeaderOldKey, e.oldKey}
	return e.emit(n, &came, now, e.header[:], emit)
}

func keyMoved(ev *change.Event) (bool, error) {
	for _, c := range ev.Table.Key {
		if ev.Before[c].IsAbsent() || ev.After[c].IsAbsent() {
			return false, fmt.Errorf("encode %s: column %s: %w", ev.Table.ID, ev.Table.Columns[c].Name, change.ErrAbsent)
		}
		if ev.Before[c] != ev.After[c] {
			return true, nil
		}
	}
	return false, nil
}

func (e *Encoder) names(t *change.Table) (*tableNames, error) {
	if n := e.tables[t]; n != nil {
		return n, nil
	}
	n := &tableNames{}
	var err error
	quote := func(s string) string {
		var b []byte
		b, qerr := appendString(nil, s)
		if qerr != nil && err == nil {
			err = fmt.Errorf("encode %s: name %q: %w", t.ID, s, qerr)
		}
		return string(b)
	}
	for i, c := range t.Columns {
		n.fields = append(n.fields, comma(i)+quote(c.Name)+":")
	}
	for i, c := range t.Key {
		n.keys = append(n.keys, comma(i)+quote(t.Columns[c].Name)+":")
	}
	n.db = `","db":` + quote(t.ID.DB) + `,"sequence":null,"ts_us":`
	n.table = `,"table":` + quote(t.ID.Name) + `,"server_id":`
	if err != nil {
		return nil, err
	}
	if len(e.tables) > 4096 { // shapes come and go over years of uptime
		clear(e.tables)
	}
	e.tables[t] = n
	return n, nil
}

func comma(i int) string {
	if i == 0 {
		return ""
	}
	return ","
}

func appendKey(b []byte, n *tableNames, t *change.Table, r change.Row) ([]byte, error) {
	b = append(b, '{')
	var err error
	for i, c := range t.Key {
		b = append(b, n.keys[i]...)
		if b, err = appendValue(b, r[c], &t.Columns[c].Type); err != nil {
			return b, columnError(t, c, err)
		}
	}
	return append(b, '}'), nil
}

func columnError(t *change.Table, c int, err error) error {
	return fmt.Errorf("encode %s: column %s: %w", t.ID, t.Columns[c].Name, err)
}

func appendRow(b []byte, n *tableNames, t *change.Table, r change.Row) ([]byte, error) {
	if r == nil {
		return append(b, "null"...), nil
	}
	if len(r) != len(t.Columns) {
		return b, fmt.Errorf("encode %s: row of %d values, the table has %d columns", t.ID, len(r), len(t.Columns))
	}
	b = append(b, '{')
	var err error
	for i := range r {
		b = append(b, n.fields[i]...)
		if b, err = appendValue(b, r[i], &t.Columns[i].Type); err != nil {
			return b, columnError(t, i, err)
		}
	}
	return append(b, '}'), nil
}

func (e *Encoder) appendEnvelope(b []byte, n *tableNames, ev *change.Event, now int64) ([]byte, error) {
	b, err := appendRow(append(b, `{"before":`...), n, ev.Table, ev.Before)
	if err != nil {
		return b, err
	}
	if b, err = appendRow(append(b, `,"after":`...), n, ev.Table, ev.After); err != nil {
		return b, err
	}
	if b, err = e.appendSource(b, n, ev); err != nil {
		return b, err
	}
	b = append(b, `,"transaction":null,"op":"`...)
	b = append(b, ev.Op.String()...)
	b = strconv.AppendInt(append(b, `","ts_ms":`...), now/1000, 10)
	b = strconv.AppendInt(append(b, `,"ts_us":`...), now, 10)
	return append(appendNanos(append(b, `,"ts_ns":`...), now), '}'), nil
}

// appendNanos writes microseconds as nanoseconds, also beyond the range of int64.
func appendNanos(b []byte, micros int64) []byte {
	b = strconv.AppendInt(b, micros, 10)
	if micros != 0 {
		b = append(b, '0', '0', '0')
	}
	return b
}

var noOrigin = change.Origin{Snapshot: "false"} // read only: the origin of a view's events

func (e *Encoder) appendSource(b []byte, n *tableNames, ev *change.Event) ([]byte, error) {
	o := ev.Origin
	if o == nil {
		o = &noOrigin
	}
	b = strconv.AppendInt(append(b, e.source...), o.CommitMicros/1000, 10)
	b = append(append(b, `,"snapshot":"`...), o.Snapshot...)
	b = strconv.AppendInt(append(b, n.db...), o.CommitMicros, 10)
	b = appendNanos(append(b, `,"ts_ns":`...), o.CommitMicros)
	b = strconv.AppendUint(append(b, n.table...), uint64(o.ServerID), 10)
	b = append(b, `,"gtid":`...)
	var err error
	if o.GTID == "" {
		b = append(b, "null"...)
	} else if b, err = appendString(b, o.GTID); err != nil {
		return b, err
	}
	if b, err = appendString(append(b, `,"file":`...), o.File); err != nil {
		return b, err
	}
	b = strconv.AppendUint(append(b, `,"pos":`...), o.Pos, 10)
	b = strconv.AppendInt(append(b, `,"row":`...), int64(ev.RowNo), 10)
	b = append(b, `,"thread":`...)
	if o.Thread == 0 {
		b = append(b, "null"...)
	} else {
		b = strconv.AppendUint(b, o.Thread, 10)
	}
	return append(b, `,"query":null}`...), nil
}
