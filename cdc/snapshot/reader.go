package snapshot

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Reader reads chunks of tables. It is safe for concurrent use: each read takes a session of its own.
type Reader struct {
	db          *sql.DB
	method      Method
	codec       Codec
	logPosition func(context.Context) (change.Position, error)
	pause       func(context.Context, time.Duration) error
	session     []string
	keyless     int // rows of a table without a key at most
	naive       naive
}

// Codec turns columns into expressions that the text protocol carries without loss, and back.
type Codec interface {
	// SelectExpr is the expression to select for a column.
	SelectExpr(c *change.Column) string
	// Decode reads what SelectExpr gave; nil is NULL.
	Decode(t *change.Table, column int, raw []byte) (change.Value, error)
}

// Config of a Reader; every field is required.
type Config struct {
	// DB gives sessions with UTC, a fixed sql_mode and utf8mb4.
	DB     *sql.DB
	Method Method
	Codec  Codec
	// LogPosition is the end of the source's log now (used by LockingRead alone).
	LogPosition func(context.Context) (change.Position, error)
	// Session statements are run in each session first; it is then not used for anything else.
	Session []string
}

// naive turns one precaution off: tests show with it that each is needed.
type naive struct {
	noWait        bool // read without waiting until the registered place is visible
	executedOnly  bool // take gtid_executed alone as the end of what a read may have seen
	singleReading bool // trust one reading of the snapshot's place, and take it as the end
	noLock        bool // read without locks where the method is a locking read
}

// NewReader returns a Reader.
func NewReader(c Config) *Reader {
	return &Reader{db: c.DB, method: c.Method, codec: c.Codec, logPosition: c.LogPosition, pause: sleep, session: c.Session, keyless: keylessRows}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Plan returns the first part of a range that holds about limit rows: [from.Lo, key of the row behind
// them), or the whole of what is left. The table's key must have an ordered prefix.
func (r *Reader) Plan(ctx context.Context, t *change.Table, from change.KeyRange, limit int) (change.KeyRange, error) {
	return r.plan(ctx, r.db, TableName(t.ID), t, OrderedPrefix(t), from, limit)
}

func (r *Reader) plan(ctx context.Context, q querier, source string, t *change.Table, n int, from change.KeyRange, limit int) (change.KeyRange, error) {
	if n == 0 {
		return change.KeyRange{}, fmt.Errorf("plan a chunk of %s: its key has no ordered prefix", t.ID)
	}
	where, err := rangeCondition(t, from)
	if err != nil {
		return change.KeyRange{}, err
	}
	cols := make([]string, n)
	for i := range n {
		cols[i] = r.codec.SelectExpr(&t.Columns[t.Key[i]])
	}
	query := fmt.Sprintf("SELECT %s FROM %s WHERE %s ORDER BY %s LIMIT 1 OFFSET %d",
		strings.Join(cols, ", "), source, where.sql, orderBy(t, n), limit)
	rows, err := q.QueryContext(ctx, query, where.args...)
	if err != nil {
		return change.KeyRange{}, fmt.Errorf("plan a chunk of %s: %w", t.ID, err)
	}
	defer func() { _ = rows.Close() }()
	if !rows.Next() {
		return from, rows.Err()
	}
	bound, err := r.scan(rows, t, t.Key[:n])
	if err != nil {
		return change.KeyRange{}, err
	}
	hi := change.KeyOf(bound...)
	if from.HasLo && hi <= from.Lo { // more than limit rows share the prefix: take them all
		return r.nextPrefix(ctx, q, source, t, n, from, bound)
	}
	from.HasHi, from.Hi = true, hi
	return from, nil
}

// nextPrefix ends a range at the first prefix greater than one that fills a whole chunk.
func (r *Reader) nextPrefix(ctx context.Context, q querier, source string, t *change.Table, n int, from change.KeyRange, bound change.Row) (change.KeyRange, error) {
	c, err := compareRow(t, bound, ">")
	if err != nil {
		return from, err
	}
	cols := make([]string, n)
	for i := range n {
		cols[i] = r.codec.SelectExpr(&t.Columns[t.Key[i]])
	}
	query := fmt.Sprintf("SELECT %s FROM %s WHERE %s ORDER BY %s LIMIT 1", strings.Join(cols, ", "), source, c.sql, orderBy(t, n))
	rows, err := q.QueryContext(ctx, query, c.args...)
	if err != nil {
		return from, fmt.Errorf("plan a chunk of %s: %w", t.ID, err)
	}
	defer func() { _ = rows.Close() }()
	if !rows.Next() {
		return from, rows.Err()
	}
	next, err := r.scan(rows, t, t.Key[:n])
	if err != nil {
		return from, err
	}
	if hi := change.KeyOf(next...); !from.HasHi || hi < from.Hi {
		from.HasHi, from.Hi = true, hi
	}
	return from, nil
}

// Chunk is what a read saw.
type Chunk struct {
	Rows []change.Row
	// High lies at or behind everything that the read saw.
	High change.Position
	// Last is the key of the last row in the server's order, of an unordered read; More says that rows
	// may follow it.
	Last change.Key
	More bool
}

// Read reads a key range after everything up to registered has become visible.
func (r *Reader) Read(ctx context.Context, t *change.Table, rng change.KeyRange, registered change.Position) (Chunk, error) {
	where, err := rangeCondition(t, rng)
	if err != nil {
		return Chunk{}, err
	}
	return r.read(ctx, TableName(t.ID), t, where, orderBy(t, OrderedPrefix(t)), registered, 0)
}

// ErrKeyless says that a table without a key is too large to be held in memory, which reading it in one
// piece takes.
var ErrKeyless = errors.New("a table without a primary key or a unique key without NULLs is read in one piece, and it is too large for that")

// keylessRows bounds a table without a key.
const keylessRows = 1_000_000

// ReadAfter reads up to limit rows behind a key in the server's own order: the only order there is for
// tables whose key bytes order otherwise. An empty key starts at the beginning. A table without a key has no
// order at all: it is read in one piece, up to keylessRows, and ErrKeyless says that it has more.
func (r *Reader) ReadAfter(ctx context.Context, t *change.Table, after change.Key, limit int, registered change.Position) (Chunk, error) {
	where := condition{sql: "TRUE"}
	if after != "" {
		values, err := change.DecodeKey(after, t.KeyTypes())
		if err != nil {
			return Chunk{}, fmt.Errorf("read %s: %w", t.ID, err)
		}
		if where, err = compareRow(t, values, ">"); err != nil {
			return Chunk{}, err
		}
	}
	if len(t.Key) == 0 {
		c, err := r.read(ctx, TableName(t.ID), t, where, "", registered, r.keyless+1)
		if err == nil && len(c.Rows) > r.keyless {
			return Chunk{}, fmt.Errorf("read %s, which has more than %d rows: %w", t.ID, r.keyless, ErrKeyless)
		}
		return c, err
	}
	c, err := r.read(ctx, TableName(t.ID), t, where, orderBy(t, len(t.Key)), registered, limit)
	if err == nil && len(c.Rows) > 0 {
		c.More = len(c.Rows) == limit
		c.Last, err = t.RowKey(c.Rows[len(c.Rows)-1])
	}
	return c, err
}

func (r *Reader) read(ctx context.Context, source string, t *change.Table, where condition, order string, registered change.Position, limit int) (Chunk, error) {
	var c Chunk
	cols := make([]int, len(t.Columns))
	exprs := make([]string, len(t.Columns))
	for i := range t.Columns {
		cols[i], exprs[i] = i, r.codec.SelectExpr(&t.Columns[i])
	}
	query := fmt.Sprintf("SELECT %s FROM %s WHERE %s", strings.Join(exprs, ", "), source, where.sql)
	if order != "" {
		query += " ORDER BY " + order
	}
	if limit > 0 {
		query += fmt.Sprintf(" LIMIT %d", limit)
	}
	if r.method == LockingRead && !r.naive.noLock {
		query += " LOCK IN SHARE MODE"
	}
	var err error
	c.High, err = r.seenBy(ctx, registered, func(q querier) error {
		c.Rows = c.Rows[:0]
		rows, err := q.QueryContext(ctx, query, where.args...)
		if err != nil {
			return fmt.Errorf("read a chunk of %s: %w", t.ID, err)
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			row, err := r.scan(rows, t, cols)
			if err != nil {
				return err
			}
			c.Rows = append(c.Rows, row)
		}
		return rows.Err()
	})
	return c, err
}

func (r *Reader) scan(rows *sql.Rows, t *change.Table, cols []int) (change.Row, error) {
	raw := make([]sql.RawBytes, len(cols))
	into := make([]any, len(cols))
	for i := range raw {
		into[i] = &raw[i]
	}
	if err := rows.Scan(into...); err != nil {
		return nil, fmt.Errorf("read a row of %s: %w", t.ID, err)
	}
	row := make(change.Row, len(cols))
	for i, c := range cols {
		v, err := r.codec.Decode(t, c, raw[i])
		if err != nil {
			return nil, fmt.Errorf("read a row of %s: column %s: %w", t.ID, t.Columns[c].Name, err)
		}
		row[i] = v
	}
	return row, nil
}
