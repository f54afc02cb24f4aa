package binlog

import (
	"context"
	"fmt"
	"strings"

	"github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/cdc/ddl"
	"github.com/etlsandbox/cdc/schemas/change"
)

// statement is a decoded query event.
type statement struct {
	thread  uint64
	session ddl.Session
	sql     string
}

// Codes of a query event's status variables, and bits of the sql_mode.
const (
	statusFlags     = 0
	statusSQLMode   = 1
	modeANSIQuotes  = 4
	modeNoBackslash = 1 << 20
)

func parseQuery(typ byte, body []byte) (statement, error) {
	c := cursor{b: body}
	st := statement{thread: uint64(c.uint32())}
	c.uint32() // seconds that it took
	db := int(c.byte())
	c.uint16() // error code
	vars := cursor{b: c.take(int(c.uint16()))}
	st.session.DB = string(c.take(db))
	c.byte()
	if c.bad {
		return st, errShort
	}
	text := c.b
	if typ == evMariaQuery {
		var err error
		if text, err = inflate(text); err != nil {
			return st, err
		}
	}
	st.sql = string(text)
	// The two variables that matter come first.
	for len(vars.b) > 0 {
		switch vars.byte() {
		case statusFlags:
			vars.uint32()
		case statusSQLMode:
			mode := vars.uint64()
			st.session.ANSIQuotes, st.session.NoBackslash = mode&modeANSIQuotes != 0, mode&modeNoBackslash != 0
			return st, nil
		default:
			return st, nil
		}
	}
	return st, nil
}

func (r *Reader) query(ctx context.Context, h header, body []byte) (Item, bool, error) {
	st, err := parseQuery(h.typ, body)
	if err != nil {
		return Item{}, false, fmt.Errorf("read a statement at %s:%d: %w", r.file, r.start, err)
	}
	if r.tx == nil {
		if strings.HasPrefix(st.sql, "#") { // MariaDB puts a comment in the place of events that we did not ask for
			return Item{}, false, nil
		}
		r.tx = &Transaction{ServerID: h.server, CommitMicros: int64(h.when) * 1e6, File: r.file, Pos: r.start}
		r.next, r.open, r.begun = nextGTID{}, false, false
	}
	r.tx.Thread = st.thread
	switch verb := firstWords(st.sql); {
	case verb == "BEGIN" || strings.HasPrefix(verb, "XA START") || strings.HasPrefix(verb, "XA BEGIN"):
		r.open = true
		return r.items()
	case verb == "COMMIT":
		return r.items(Item{Kind: Commit, Tx: r.tx})
	case verb == "ROLLBACK":
		if r.tx.Rows > 0 {
			return Item{}, false, r.rolledBack("a transaction that was rolled back in part (it mixed engines with and without transactions)")
		}
		return r.items(Item{Kind: Commit, Tx: r.tx})
	case strings.HasPrefix(verb, "ROLLBACK TO"):
		if r.tx.Rows > 0 {
			return Item{}, false, r.rolledBack("a rollback to a savepoint (it mixed engines with and without transactions)")
		}
		return r.items()
	case strings.HasPrefix(verb, "SAVEPOINT"), strings.HasPrefix(verb, "XA END"):
		return r.items()
	case strings.HasPrefix(verb, "XA "):
		return r.items(Item{Kind: Commit, Tx: r.tx})
	}
	items, err := r.apply(ctx, st)
	if err != nil {
		return Item{}, false, err
	}
	if !r.open {
		items = append(items, Item{Kind: Commit, Tx: r.tx})
	}
	return r.items(items...)
}

// firstWords is the beginning of a statement in upper case, enough to tell the ones that the server
// itself writes.
func firstWords(sql string) string {
	return strings.ToUpper(strings.TrimSpace(sql[:min(len(sql), 24)]))
}

func (r *Reader) rolledBack(what string) error {
	return r.fail(cdc.ErrUnlogged, what+" changed rows of captured tables", "run cdc resync --all: it starts behind this transaction")
}

// items returns the first of the items that are due, Begin before all, and queues the rest.
func (r *Reader) items(items ...Item) (Item, bool, error) {
	if !r.begun {
		r.begun = true
		items = append([]Item{{Kind: Begin, Tx: r.tx}}, items...)
	}
	if len(items) == 0 {
		return Item{}, false, nil
	}
	r.queue = append(r.queue, items[1:]...)
	return items[0], true, nil
}

// commit handles the event that ends a transaction.
func (r *Reader) commit() (Item, bool, error) {
	if r.tx == nil {
		return Item{}, false, r.fail(cdc.ErrCorrupt, "a transaction ends that did not begin", "")
	}
	return r.items(Item{Kind: Commit, Tx: r.tx})
}

// prepared handles the end of an XA branch: its rows are not committed yet, unless in one phase.
func (r *Reader) prepared(body []byte) (Item, bool, error) {
	if r.tx == nil || len(body) == 0 {
		return Item{}, false, r.fail(cdc.ErrCorrupt, "an XA transaction ends that did not begin", "")
	}
	if body[0] == 0 && r.tx.Rows > 0 {
		return Item{}, false, r.fail(cdc.ErrUnlogged, "an XA transaction prepared rows of captured tables",
			"let the XA transaction end, then run cdc resync --all: it starts behind it")
	}
	return r.commit()
}

// load handles LOAD DATA in statement format.
func (r *Reader) load(h header, body []byte) (Item, bool, error) {
	c := cursor{b: body}
	c.take(4 + 4)
	db := int(c.byte())
	c.take(2)
	vars := int(c.uint16())
	c.take(4 + 4 + 4 + 1) // where the file name stands in the text
	c.take(vars)
	name := string(c.take(db))
	c.byte()
	if c.bad || r.tx == nil {
		return Item{}, false, errShort
	}
	st := statement{session: ddl.Session{DB: name}, sql: string(c.b)}
	changes, err := ddl.Read(st.sql, st.session)
	if err != nil {
		changes = r.mentioned(st, ddl.Write)
	}
	var items []Item
	for _, w := range changes {
		paused, err := r.written(w)
		if err != nil {
			return Item{}, false, err
		}
		items = append(items, paused...)
	}
	return r.items(items...)
}

// written handles a statement that changed rows without logging them. The table is paused; of one whose name is not
// known, no table can be.
func (r *Reader) written(c ddl.Change) ([]Item, error) {
	what := c.What + " in STATEMENT format: the rows that it changed are not in the log"
	if c.Table == (change.TableID{}) {
		if len(r.layouts) == 0 {
			return nil, nil
		}
		return nil, r.fail(cdc.ErrUnlogged, what+", and may be those of captured tables",
			"set binlog_format=ROW, globally and in the session that did it, then run cdc resync --all: it starts behind this statement")
	}
	l, tracked := r.find(c.Table)
	if !tracked {
		return nil, nil
	}
	id := l.Table.ID
	it := r.pause(id, fmt.Errorf("read the log at %s:%d: %s", r.file, r.start, what))
	it.Pause.Hint = "set binlog_format=ROW, globally and in the session that did it, then run cdc resync " + id.String()
	return []Item{it}, nil
}

// find returns the layout of a table by the name that a statement uses.
func (r *Reader) find(id change.TableID) (*cdc.Layout, bool) {
	l, ok := r.layouts[id]
	if !ok && r.src.Server().FoldNames {
		for k, l := range r.layouts {
			if strings.EqualFold(k.DB, id.DB) && strings.EqualFold(k.Name, id.Name) {
				return l, true
			}
		}
	}
	return l, ok
}

// mentioned makes a change for each captured table that a statement names which could not be read.
func (r *Reader) mentioned(st statement, a ddl.Action) []ddl.Change {
	var all []ddl.Change
	for id := range r.layouts {
		if ddl.Mentions(st.sql, id.Name) && (strings.EqualFold(st.session.DB, id.DB) || ddl.Mentions(st.sql, id.DB)) {
			all = append(all, ddl.Change{Action: a, Table: id, What: "a statement that cannot be read (" + excerpt(st.sql) + ")"})
		}
	}
	return all
}

func excerpt(sql string) string {
	const limit = 80
	if len(sql) > limit {
		return strings.ToValidUTF8(sql[:limit], "") + "…"
	}
	return sql
}
