package cdc

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Filter chooses what is captured. A nil function lets everything through; the server's own schemas
// are never captured.
type Filter struct {
	Table  func(change.TableID) bool
	Column func(t change.TableID, column string) bool
}

// HasTable reports whether the table is captured.
func (f Filter) HasTable(t change.TableID) bool {
	switch strings.ToLower(t.DB) {
	case "mysql", "information_schema", "performance_schema", "sys":
		return false
	}
	return f.Table == nil || f.Table(t)
}

// HasColumn reports whether a column of a captured table is captured.
func (f Filter) HasColumn(t change.TableID, column string) bool {
	return f.Column == nil || f.Column(t, column)
}

// Layout is a table as the server stores it: the captured shape, and how it lies in the server's rows.
// It is immutable.
type Layout struct {
	Table *change.Table
	// Fields are all columns of the server's table in its order, the ones left out included.
	Fields []Field
	// Charset and Collation are what a new text column of the table gets.
	Charset, Collation string
	// Engine in the server's spelling: "InnoDB".
	Engine string
	// Generated names the captured columns that the server computes.
	Generated []string
}

// Field is one column of the server's table.
type Field struct {
	Name string
	// Column is its index in Table.Columns, or -1 if it is not captured.
	Column int
	// Fraction is the number of digits of a temporal column's fraction of a second; unknownFraction of a column
	// that the catalog has no more.
	Fraction int
}

const unknownFraction = -1

// At returns the layout that the table had when its shape was stored, given what it is now.
func (l *Layout) At(stored *change.Table) *Layout {
	if stored.Fields == nil {
		return l.guess(stored)
	}
	old := *l
	old.Table, old.Fields = stored, nil
	for _, name := range stored.Fields {
		f := Field{Name: name, Column: stored.Column(name), Fraction: unknownFraction}
		if i := slices.IndexFunc(l.Fields, func(f Field) bool { return strings.EqualFold(f.Name, name) }); i >= 0 {
			f.Fraction = l.Fields[i].Fraction
		}
		old.Fields = append(old.Fields, f)
	}
	return &old
}

// guess is At for a shape that does not say which columns were left out: captured columns that it has not
// came since.
func (l *Layout) guess(stored *change.Table) *Layout {
	old := *l
	old.Table, old.Fields = stored, nil
	seen := 0
	for _, f := range l.Fields {
		column := stored.Column(f.Name)
		if column >= 0 {
			seen++
		}
		if column >= 0 || f.Column < 0 {
			old.Fields = append(old.Fields, Field{Name: f.Name, Column: column, Fraction: f.Fraction})
		}
	}
	if seen == len(stored.Columns) {
		return &old
	}
	// A column has gone since, and with it its place: rows can be read by name only.
	old.Fields = nil
	for i, c := range stored.Columns {
		old.Fields = append(old.Fields, Field{Name: c.Name, Column: i})
	}
	return &old
}

// Tables returns the shapes of the captured tables, ordered by id. Columns that are not supported are
// reported all at once, as an error that joins an *UnsupportedColumn for each; the tables without such
// columns are returned all the same.
func (s *Source) Tables(ctx context.Context, f Filter) ([]*change.Table, error) {
	ls, err := s.Layouts(ctx, f)
	ts := make([]*change.Table, len(ls))
	for i, l := range ls {
		ts[i] = l.Table
	}
	return ts, err
}

// Layouts is Tables with what the reader of the log needs besides.
func (s *Source) Layouts(ctx context.Context, f Filter) ([]*Layout, error) {
	return s.layouts(ctx, f, "", nil)
}

// Layout returns one table as it is now, or nil if it does not exist.
func (s *Source) Layout(ctx context.Context, f Filter, id change.TableID) (*Layout, error) {
	if err := s.settle(ctx, id); err != nil {
		return nil, err
	}
	ls, err := s.layouts(ctx, f, " AND TABLE_SCHEMA = ? AND TABLE_NAME = ?", []any{id.DB, id.Name})
	if err != nil || len(ls) == 0 {
		return nil, err
	}
	return ls[0], nil
}

// settle waits until a statement on the table that is in the log is in the catalog too: reading the
// table waits for the lock that the statement holds until then. It does not wait for long, because a
// later statement may be queueing for the lock behind a session that never ends.
func (s *Source) settle(ctx context.Context, id change.TableID) error {
	conn, err := s.Conn(ctx)
	if err != nil {
		return err
	}
	defer Discard(conn)
	if _, err := conn.ExecContext(ctx, "SET SESSION lock_wait_timeout = 10"); err != nil {
		return Classify("look at table "+id.String(), err)
	}
	rows, err := conn.QueryContext(ctx, "SELECT 1 FROM "+QuoteTable(id)+" LIMIT 0")
	if err == nil {
		err = errors.Join(rows.Err(), rows.Close())
	}
	var server *ServerError
	if err = Classify("look at table "+id.String(), err); errors.As(err, &server) || errors.Is(err, ErrAccess) {
		return nil // no such table, no right to it, or a wait too long: the catalog says more
	}
	return err
}

// QuoteName quotes an identifier for SQL text.
func QuoteName(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// QuoteTable quotes a table's full name for SQL text.
func QuoteTable(id change.TableID) string { return QuoteName(id.DB) + "." + QuoteName(id.Name) }

const notSystem = "TABLE_SCHEMA NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')"

func (s *Source) layouts(ctx context.Context, f Filter, where string, args []any) ([]*Layout, error) {
	conn, err := s.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close() // only gives the session back
	c := &catalog{filter: f, where: notSystem + where, args: args, server: s.server, byID: map[change.TableID]*Layout{}}
	for _, step := range []func(context.Context, *sql.Conn) error{c.tables, c.columns, c.keys, c.foreignKeys} {
		if err := step(ctx, conn); err != nil {
			return nil, Classify("read the source's catalog", err)
		}
	}
	return c.result()
}

// catalog collects the layouts in a few passes over information_schema.
type catalog struct {
	filter Filter
	where  string
	args   []any
	server Server
	byID   map[change.TableID]*Layout
	bad    []error
	broken map[change.TableID]bool
}

func (c *catalog) tables(ctx context.Context, conn *sql.Conn) error {
	rows, err := query(ctx, conn, `SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_COLLATION, CREATE_OPTIONS
		FROM information_schema.TABLES WHERE `+c.where, c.args...)
	if err != nil {
		return err
	}
	c.broken = map[change.TableID]bool{}
	for _, r := range rows {
		id := change.TableID{DB: r[0].String, Name: r[1].String}
		if !c.filter.HasTable(id) {
			continue
		}
		switch r[2].String {
		case "BASE TABLE":
		case "SYSTEM VERSIONED":
			c.bad = append(c.bad, &UnsupportedTable{Table: id, Reason: "is system-versioned"})
			continue
		default:
			continue
		}
		charset, _, _ := strings.Cut(r[4].String, "_")
		c.byID[id] = &Layout{Table: &change.Table{ID: id, Version: 1}, Engine: r[3].String, Collation: r[4].String, Charset: charset}
	}
	return nil
}

// UnsupportedTable says that a captured table as a whole cannot be followed.
type UnsupportedTable struct {
	Table  change.TableID
	Reason string
}

func (e *UnsupportedTable) Error() string { return e.reason() + "; " + e.wayOut() }

func (e *UnsupportedTable) reason() string {
	return fmt.Sprintf("table %s %s, which is not supported", e.Table, e.Reason)
}

func (e *UnsupportedTable) wayOut() string {
	return fmt.Sprintf("leave it out with  source.tables.exclude: [%q]", e.Table.String())
}

// Is makes every UnsupportedTable an ErrUnsupported.
func (e *UnsupportedTable) Is(target error) bool { return target == ErrUnsupported }

func (c *catalog) columns(ctx context.Context, conn *sql.Conn) error {
	rows, err := query(ctx, conn, `SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE,
			CHARACTER_MAXIMUM_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE, DATETIME_PRECISION, CHARACTER_SET_NAME, COLLATION_NAME, EXTRA
		FROM information_schema.COLUMNS WHERE `+c.where+` ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION`, c.args...)
	if err != nil {
		return err
	}
	for _, r := range rows {
		id := change.TableID{DB: r[0].String, Name: r[1].String}
		l := c.byID[id]
		if l == nil {
			continue
		}
		field := Field{Name: r[2].String, Column: -1, Fraction: number(r[9])}
		if c.filter.HasColumn(id, field.Name) {
			d := Declared{
				Name: strings.ToLower(r[3].String), Full: r[4].String,
				Length: number(r[6]), Precision: number(r[7]), Scale: number(r[8]), Fraction: number(r[9]),
				Charset: r[10].String, Collation: r[11].String,
			}
			t, ok := d.Type()
			if !ok {
				c.bad = append(c.bad, &UnsupportedColumn{Table: id, Column: field.Name, Type: d.String()})
				c.broken[id] = true
			}
			field.Column = len(l.Table.Columns)
			l.Table.Columns = append(l.Table.Columns, change.Column{Name: field.Name, Type: t, Nullable: r[5].String == "YES"})
			if extra := strings.ToUpper(r[12].String); strings.Contains(extra, "VIRTUAL") || strings.Contains(extra, "STORED") || strings.Contains(extra, "PERSISTENT") {
				l.Generated = append(l.Generated, field.Name)
			}
		}
		l.Fields = append(l.Fields, field)
		l.Table.Fields = append(l.Table.Fields, field.Name)
	}
	return nil
}

func number(s sql.NullString) int {
	n, err := strconv.ParseInt(s.String, 10, 64)
	if err != nil {
		return 0
	}
	return int(n)
}

// keys finds each table's key: the primary key, else the first unique key by name whose columns are
// all captured, whole and NOT NULL.
func (c *catalog) keys(ctx context.Context, conn *sql.Conn) error {
	rows, err := query(ctx, conn, `SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, COLUMN_NAME, SUB_PART
		FROM information_schema.STATISTICS WHERE NON_UNIQUE = 0 AND `+c.where+`
		ORDER BY TABLE_SCHEMA, TABLE_NAME, INDEX_NAME <> 'PRIMARY', INDEX_NAME, SEQ_IN_INDEX`, c.args...)
	if err != nil {
		return err
	}
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n][0] == rows[0][0] && rows[n][1] == rows[0][1] && rows[n][2] == rows[0][2] {
			n++
		}
		c.key(rows[:n])
		rows = rows[n:]
	}
	return nil
}

func (c *catalog) key(parts [][]sql.NullString) {
	l := c.byID[change.TableID{DB: parts[0][0].String, Name: parts[0][1].String}]
	if l == nil || len(l.Table.Key) > 0 {
		return
	}
	var key []int
	for _, p := range parts {
		i := l.Table.Column(p[3].String)
		if p[4].Valid || i < 0 || l.Table.Columns[i].Nullable {
			return
		}
		key = append(key, i)
	}
	l.Table.Key = key
}

func (c *catalog) result() ([]*Layout, error) {
	ls := make([]*Layout, 0, len(c.byID))
	for id, l := range c.byID {
		switch {
		case c.broken[id]:
		case len(l.Table.Columns) == 0:
			c.bad = append(c.bad, &UnsupportedTable{Table: id, Reason: "has no captured column"})
		default:
			ls = append(ls, l)
		}
	}
	slices.SortFunc(ls, func(a, b *Layout) int { return a.Table.ID.Compare(b.Table.ID) })
	return ls, errors.Join(c.bad...)
}

// Estimates returns the server's estimate of the number of rows of each table named.
func (s *Source) Estimates(ctx context.Context, tables []*change.Table) (map[change.TableID]int64, error) {
	rows, err := query(ctx, s.db, `SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_ROWS FROM information_schema.TABLES WHERE `+notSystem)
	if err != nil {
		return nil, Classify("estimate table sizes", err)
	}
	all := make(map[change.TableID]int64, len(rows))
	for _, r := range rows {
		all[change.TableID{DB: r[0].String, Name: r[1].String}] = int64(number(r[2]))
	}
	est := make(map[change.TableID]int64, len(tables))
	for _, t := range tables {
		est[t.ID] = all[t.ID]
	}
	return est, nil
}
