// Package binlog reads the log of a MySQL-family server as a stream of items: transactions with their
// rows, schema changes, heartbeats. Memory does not grow with a transaction: rows are handed out one by
// one as they arrive, compressed transactions included.
package binlog

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/cdc/gtid"
	"github.com/etlsandbox/cdc/schemas/change"
)

// Kind says what an Item is.
type Kind uint8

// The kinds of items. Every transaction of the source gives Begin, any number of Row, Schema and Pause,
// and Commit, also one that touches no captured table.
const (
	// Begin opens a transaction. Its Tx is filled but for the counts.
	Begin Kind = iota + 1
	// Row is one row change of a captured table.
	Row
	// Commit closes the transaction. Reader.Position is then the place after it.
	Commit
	// Schema is a statement that concerns a captured table.
	Schema
	// Pause says that rows of a captured table cannot be read. The reader passes over the table's rows
	// (they count as filtered) until Track is called for it.
	Pause
	// Heartbeat says that the server is alive and nothing happened; the position may have moved.
	Heartbeat
)

// Item is one step of the log.
type Item struct {
	Kind   Kind
	Tx     *Transaction  // of all kinds but Heartbeat
	Event  change.Event  // of Row; the caller owns its rows
	Schema *SchemaChange // of Schema
	Pause  *Paused       // of Pause
}

// Transaction is one transaction of the source. The items of a transaction share it; the counts are
// final at Commit.
type Transaction struct {
	GTID         string // "" without GTIDs
	CommitMicros int64  // the source's time; MySQL 5.7 and MariaDB: whole seconds
	ServerID     uint32
	File         string
	Pos          uint64 // where the transaction begins
	Thread       uint64 // 0 if the log does not say
	Rows         int    // of captured tables
	Filtered     int    // of tables that are not captured, or paused
}

// Paused says why a table's rows cannot be read.
type Paused struct {
	Table  change.TableID
	Reason error
	Hint   string // the way out; "" of a value that cannot be carried over
}

// Options of a Reader.
type Options struct {
	Filter cdc.Filter
	// Layouts are the captured tables as they are at From.
	Layouts []*cdc.Layout
	// From is where to begin: a position that Reader.Position or cdc.Source.Current returned.
	From change.Position
}

// Reader reads the log. Close and Bytes may be called from any goroutine, everything else from one.
type Reader struct {
	src    *cdc.Source
	filter cdc.Filter
	in     *packets
	inner  *payload // a compressed transaction being read
	crc    bool
	skip   uint64 // pass over everything before this offset of the first file

	layouts map[change.TableID]*cdc.Layout
	paused  map[change.TableID]bool
	plans   map[uint64]*plan
	dec     decoder
	rows    rows   // of the event being read; without a plan there is none
	queue   []Item // items that are due after the one just returned

	server   string
	file     string
	off      uint64 // after the event being handled
	start    uint64 // of the event being handled
	mysql    *gtid.MySQL
	maria    *gtid.MariaDB
	position change.Position // memory of the last one asked for
	stale    bool            // position must be made again

	tx    *Transaction
	begun bool // Begin was returned
	next  nextGTID
	sid   [16]byte // the last transaction's source, and its text
	uuid  string
	// open says that the transaction ends with an event of its own, not with the next statement.
	open     bool
	filtered map[change.TableID]uint64
	failed   error
}

// nextGTID is the transaction being read, to be added to the set at its end.
type nextGTID struct {
	set     bool
	uuid    string
	tag     string
	n       int64
	maria   gtid.MariaDBID
	isMaria bool
}

// Open connects to the log of the source. An error tells with errors.Is(err, cdc.ErrPurged), and so on,
// what to do; some of them come only with the first Next.
func Open(ctx context.Context, src *cdc.Source, o Options) (*Reader, error) {
	r := &Reader{
		src: src, filter: o.Filter, server: src.Server().Identity,
		layouts: map[change.TableID]*cdc.Layout{}, paused: map[change.TableID]bool{}, plans: map[uint64]*plan{},
		filtered: map[change.TableID]uint64{}, stale: true,
		file: o.From.File, off: o.From.Offset,
	}
	if !src.Server().LogBin {
		return nil, &cdc.Error{Doing: "read the log", Kind: cdc.ErrUnsupported, Cause: errors.New("the server writes no log"),
			Hint: "set log_bin in its configuration and restart it"}
	}
	for _, l := range o.Layouts {
		r.layouts[l.Table.ID] = l
	}
	from := o.From
	var err error
	if src.Server().Flavor == cdc.MariaDB {
		if r.maria, err = gtid.ParseMariaDB(from.GTID); err == nil {
			from.GTID = r.maria.String()
		}
	} else if src.Server().GTIDs {
		if r.mysql, err = gtid.ParseMySQL(from.GTID); err == nil {
			from.GTID = r.mysql.String()
		}
	} else if from.GTID != "" && from.File == "" {
		err = &cdc.Error{Doing: "read the log", Kind: cdc.ErrDiverged, Cause: errors.New("the position is a GTID set, and the server has gtid_mode off"),
			Hint: "set gtid_mode=ON again, or run cdc resync --all"}
	}
	if err == nil {
		err = reaches(ctx, src, from)
	}
	if err != nil {
		return nil, err
	}
	r.in, r.crc, r.skip, err = dial(ctx, src, from)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// reaches refuses a place that the log has not reached: the server was set back. MySQL says so itself; MariaDB does
// not after a RESET MASTER, and would pass over what it then logs until the numbers of old come again.
func reaches(ctx context.Context, src *cdc.Source, from change.Position) error {
	if src.Server().Flavor != cdc.MariaDB || from.GTID == "" {
		return nil
	}
	now, err := src.Current(ctx)
	if err != nil {
		return err
	}
	ok, err := cdc.Contains(now, from, cdc.MariaDB)
	if err == nil && !ok {
		err = &cdc.Error{Doing: "read the log", Kind: cdc.ErrDiverged, Cause: fmt.Errorf("it ends at %q and is to be read from %q", now.GTID, from.GTID),
			Hint: "the server was replaced, restored or reset: if that is meant, run cdc resync --all"}
	}
	return err
}

// Close ends the connection; a Next that waits returns an error.
func (r *Reader) Close() error {
	err := r.in.conn.Close()
	if err != nil {
		return fmt.Errorf("close the log's connection: %w", err)
	}
	return nil
}

// Position is the place after the last transaction that was committed, or the last heartbeat. It is
// made when asked for, so ask once a batch, not once a transaction.
func (r *Reader) Position() change.Position {
	if !r.stale {
		return r.position
	}
	p := change.Position{Server: r.server, File: r.file, Offset: r.off}
	if r.tx != nil {
		p.File, p.Offset = r.tx.File, r.tx.Pos // inside a transaction: where it begins
	}
	switch {
	case r.maria != nil:
		p.GTID = r.maria.String()
	case r.mysql != nil:
		p.GTID = r.mysql.String()
	}
	r.position, r.stale = p, false
	return p
}

// Buffered reports whether something of the log is at hand, so that Next need not wait for the server.
func (r *Reader) Buffered() bool {
	return r.rows.plan != nil || len(r.queue) > 0 || r.inner != nil || r.in.buffered()
}

// Bytes is the size of the events read so far.
func (r *Reader) Bytes() uint64 { return r.in.bytes.Load() }

// Filtered is the number of rows passed over so far, by table.
func (r *Reader) Filtered() map[change.TableID]uint64 { return r.filtered }

// Track makes the reader read a table (again) in the given shape, from the next row on.
func (r *Reader) Track(l *cdc.Layout) {
	r.layouts[l.Table.ID] = l
	delete(r.paused, l.Table.ID)
	r.forget()
}

// PassOver makes the reader pass over the rows of a captured table that cannot be followed, and say when it is gone.
func (r *Reader) PassOver(id change.TableID) {
	delete(r.layouts, id)
	r.paused[id] = true
	r.forget()
}

// Untrack makes the reader pass over a table's rows.
func (r *Reader) Untrack(id change.TableID) {
	delete(r.layouts, id)
	delete(r.paused, id)
	r.forget()
}

// forget drops the compiled plans but for their table maps: a table map may not be sent again before
// the next rows of its table.
func (r *Reader) forget() {
	for n, p := range r.plans {
		if m, err := parseTableMap(p.raw); err == nil {
			r.plans[n] = r.compile(m, p.raw)
		}
	}
}

// Layout returns the shape in which a table is being read, or nil.
func (r *Reader) Layout(id change.TableID) *cdc.Layout { return r.layouts[id] }

// Tables returns the tables being read, ordered by id.
func (r *Reader) Tables() []*change.Table {
	ts := make([]*change.Table, 0, len(r.layouts))
	for _, l := range r.layouts {
		ts = append(ts, l.Table)
	}
	slices.SortFunc(ts, func(a, b *change.Table) int { return a.ID.Compare(b.ID) })
	return ts
}

// Next returns the next item. It waits for the server; when ctx ends while it waits between two events,
// it returns ctx's error and can be called again. After any other error the reader is spent: open a new
// one from the last Position.
func (r *Reader) Next(ctx context.Context) (Item, error) {
	if r.failed != nil {
		return Item{}, r.failed
	}
	item, err := r.step(ctx)
	if err != nil && (ctx.Err() == nil || !errors.Is(err, ctx.Err())) {
		r.failed = err
	}
	return item, err
}

func (r *Reader) step(ctx context.Context) (Item, error) {
	for {
		if len(r.queue) > 0 {
			item := r.queue[0]
			if r.queue = r.queue[1:]; len(r.queue) == 0 {
				r.queue = nil
			}
			if item.Kind == Commit {
				r.finish()
			}
			return item, nil
		}
		if r.rows.plan != nil {
			if item, ok, err := r.nextRow(); ok || err != nil {
				return item, err
			}
			continue
		}
		h, body, err := r.event(ctx)
		if err != nil {
			return Item{}, err
		}
		item, ok, err := r.handle(ctx, h, body)
		if ok || err != nil {
			if ok && item.Kind == Commit {
				r.finish()
			}
			return item, err
		}
	}
}

// nextRow returns the next row of the rows event being read; ok is false at its end.
func (r *Reader) nextRow() (Item, bool, error) {
	p := r.rows.plan
	e, more, err := r.rows.next(&r.dec)
	var bad *cdc.ValueError
	switch {
	case errors.As(err, &bad):
		r.rows.plan = nil
		return r.pause(p.id, err), true, nil
	case err != nil && p.table == nil:
		r.rows.plan = nil // not ours, and not to be counted
		return Item{}, false, nil
	case err != nil:
		return Item{}, false, fmt.Errorf("read rows of %s at %s:%d: %w", p.id, r.file, r.start, err)
	case !more:
		r.rows.plan = nil
		return Item{}, false, nil
	case p.table == nil || p.broken != nil:
		r.tx.Filtered++
		r.filtered[p.id]++
		return Item{}, false, nil
	}
	r.tx.Rows++
	return Item{Kind: Row, Tx: r.tx, Event: e}, true, nil
}

func (r *Reader) pause(id change.TableID, reason error) Item {
	r.paused[id] = true
	delete(r.layouts, id)
	r.forget()
	return Item{Kind: Pause, Tx: r.tx, Pause: &Paused{Table: id, Reason: reason}}
}
