package binlog

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/cdc/gtid"
	"github.com/etlsandbox/cdc/schemas/change"
)

const flagArtificial = 0x20 // in an event's header: made for the connection, not in the log

// event returns the next event's header and body, without checksum.
func (r *Reader) event(ctx context.Context) (header, []byte, error) {
	if r.inner != nil {
		h, body, err := r.inner.next()
		if err != nil || body != nil {
			return h, body, err
		}
		if err := r.closePayload(); err != nil {
			return header{}, nil, err
		}
	}
	h, err := r.in.begin(ctx)
	if err != nil {
		return h, nil, err
	}
	r.advance(h)
	if h.typ == evPayload {
		return h, nil, r.openPayload(h)
	}
	e, err := r.in.event(ctx, h)
	if err != nil {
		return h, nil, err
	}
	if r.crc && h.typ != evFormat && h.typ != evRotate {
		if e, err = checksummed(e); err != nil {
			return h, nil, fmt.Errorf("event at %s:%d: %w", r.file, r.start, err)
		}
	}
	return h, e[headerSize:], nil
}

// advance moves the offset behind the event. The header has its low 32 bits only, and none inside a
// transaction of a late MariaDB; what is not in the header is counted.
func (r *Reader) advance(h header) {
	r.start = r.off
	if h.flags&flagArtificial != 0 || h.typ == evHeartbeat || h.typ == evHeartbeat2 || h.typ == evRotate && h.next == 0 {
		return
	}
	if h.typ == evFormat && h.next == 0 {
		return
	}
	r.stale = true
	r.off += uint64(h.size)
	if h.next == 0 || uint32(r.off) == h.next {
		return
	}
	r.off = resync(r.off, h.next)
	r.start = r.off - uint64(h.size)
}

// resync returns the offset nearest to off whose low 32 bits are low: events that were not sent lie
// before it, and a file may be larger than 4 GiB.
func resync(off uint64, low uint32) uint64 {
	return off + uint64(int64(int32(low-uint32(off))))
}

// handle turns an event into an item; ok is false when there is nothing to return for it.
func (r *Reader) handle(ctx context.Context, h header, body []byte) (item Item, ok bool, err error) {
	switch h.typ {
	case evPayload:
		return Item{}, false, nil // its events come next
	case evRotate:
		return Item{}, false, r.rotate(h, body)
	case evFormat:
		return Item{}, false, r.format(body)
	case evHeartbeat, evHeartbeat2:
		return r.heartbeat(h, body)
	case evPreviousGTIDs, evMariaGTIDList:
		return Item{}, false, r.base(h.typ, body)
	case evIncident:
		return Item{}, false, r.fail(cdc.ErrIncident, "the server wrote an incident event", "the rows lost are not in the log: run cdc resync --all")
	case evGTID, evAnonymous, evTaggedGTID, evMariaGTID:
		return r.gtid(h, body)
	}
	if r.skipping() {
		return Item{}, false, nil
	}
	switch h.typ {
	case evQuery, evMariaQuery:
		return r.query(ctx, h, body)
	case evXID:
		return r.commit()
	case evXAPrepare:
		return r.prepared(body)
	case evTableMap:
		return Item{}, false, r.tableMap(body)
	case evPartialRows:
		return r.partial(body)
	case evExecuteLoad:
		return r.load(h, body)
	}
	if _, isRows := rowsEventOf(h.typ); isRows {
		return r.openRows(h, body)
	}
	return Item{}, false, nil
}

// skipping reports whether the events before the place to start at are being passed over.
func (r *Reader) skipping() bool { return r.skip > 0 && r.off <= r.skip }

// fail is an error that ends the stream at this place.
func (r *Reader) fail(kind error, cause, hint string) error {
	return &cdc.Error{Doing: fmt.Sprintf("read the log at %s:%d", r.file, r.start), Kind: kind, Cause: errors.New(cause), Hint: hint}
}

// rotate: a new file begins. The event comes without a checksum where the connection's settings differ
// from the file's, and nothing in it says so: the checksum itself decides.
func (r *Reader) rotate(h header, body []byte) error {
	if len(body) < 9 {
		return errShort
	}
	if len(body) > 8+crcSize {
		whole := append(encodeHeader(h), body...)
		if e, err := checksummed(whole); err == nil {
			body = e[headerSize:]
		}
	}
	if r.skip > 0 && r.file != "" && r.file != string(body[8:]) {
		r.skip = 0
	}
	r.file, r.off, r.stale = string(body[8:]), binary.LittleEndian.Uint64(body), true
	return nil
}

func encodeHeader(h header) []byte {
	b := make([]byte, 0, 64)
	b = binary.LittleEndian.AppendUint32(b, h.when)
	b = append(b, h.typ)
	b = binary.LittleEndian.AppendUint32(b, h.server)
	b = binary.LittleEndian.AppendUint32(b, h.size)
	b = binary.LittleEndian.AppendUint32(b, h.next)
	return binary.LittleEndian.AppendUint16(b, h.flags)
}

// format: the file's format description; the byte before its checksum says whether events carry one.
func (r *Reader) format(body []byte) error {
	const fixed = 2 + 50 + 4 + 1 // version, server version, creation time, header size
	if len(body) < fixed+1+crcSize {
		return errShort
	}
	if v := binary.LittleEndian.Uint16(body); v != 4 || body[fixed-1] != headerSize {
		return r.fail(cdc.ErrUnsupported, fmt.Sprintf("log format %d", v), "the server is too old")
	}
	r.crc = body[len(body)-crcSize-1] == 1
	r.plans = map[uint64]*plan{} // table numbers start again in a file of a restarted server
	return nil
}

func (r *Reader) heartbeat(h header, body []byte) (Item, bool, error) {
	if h.typ == evHeartbeat && r.tx == nil && h.next != 0 && string(body) == r.file {
		if off := resync(r.off, h.next); off > r.off {
			r.off, r.stale = off, true
		}
	}
	return Item{Kind: Heartbeat}, true, nil
}

// base: at a file's start, what lies before it. It matters where the reading starts by file.
func (r *Reader) base(typ byte, body []byte) error {
	if r.skip == 0 {
		return nil
	}
	if typ == evPreviousGTIDs {
		var e replication.PreviousGTIDsEvent
		if err := guard(func() error { return e.Decode(body) }); err != nil {
			return fmt.Errorf("read the GTIDs before %s: %w", r.file, err)
		}
		set, err := gtid.ParseMySQL(e.GTIDSets)
		if err != nil {
			return err
		}
		r.mysql = set
		return nil
	}
	c := cursor{b: body}
	for n := c.uint32() & 0xfffffff; n > 0 && !c.bad; n-- {
		r.maria.Set(gtid.MariaDBID{Domain: c.uint32(), Server: c.uint32(), Seq: c.uint64()})
	}
	if c.bad {
		return errShort
	}
	return nil
}

// guard turns a panic of a library's decoder into an error: the bytes come from outside.
func guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", cdc.ErrCorrupt, p)
		}
	}()
	return f()
}

// gtid: a transaction begins.
func (r *Reader) gtid(h header, body []byte) (Item, bool, error) {
	if r.tx != nil {
		return Item{}, false, r.fail(cdc.ErrCorrupt, "a transaction begins inside another", "")
	}
	tx := &Transaction{ServerID: h.server, CommitMicros: int64(h.when) * 1e6, File: r.file, Pos: r.start}
	r.next, r.open, r.begun = nextGTID{}, false, false
	var err error
	switch h.typ {
	case evMariaGTID:
		err = r.mariaGTID(h, body, tx)
	case evTaggedGTID:
		err = r.taggedGTID(body, tx)
	default:
		err = r.mysqlGTID(h, body, tx)
	}
	if err != nil {
		return Item{}, false, err
	}
	if r.skip > 0 && r.start < r.skip {
		r.note() // it lies before the place to start at: it is in the set, and nothing is returned
		return Item{}, false, nil
	}
	r.skip = 0
	r.tx = tx
	if h.typ != evMariaGTID {
		return Item{}, false, nil // the statement that follows knows the thread
	}
	r.begun = true
	return Item{Kind: Begin, Tx: tx}, true, nil
}

func (r *Reader) mysqlGTID(h header, body []byte, tx *Transaction) error {
	c := cursor{b: body}
	c.byte() // flags
	sid := c.take(16)
	n := int64(c.uint64())
	if c.bad {
		return errShort
	}
	if h.typ == evGTID {
		if !bytes.Equal(sid, r.sid[:]) || r.uuid == "" {
			r.uuid = uuidText(sid)
			copy(r.sid[:], sid)
		}
		r.next = nextGTID{set: true, uuid: r.uuid, n: n}
		tx.GTID = gtidText(r.uuid, "", n)
	}
	if c.byte() != 2 { // logical clock
		return nil
	}
	c.take(16)
	if micros := c.take(7); !c.bad {
		const originalFollows = 1 << 55
		if v := littleEndian(micros) &^ originalFollows; v != 0 {
			tx.CommitMicros = int64(v)
		}
	}
	return nil
}

func (r *Reader) taggedGTID(body []byte, tx *Transaction) error {
	var e replication.GtidTaggedLogEvent
	if err := guard(func() error { return e.Decode(body) }); err != nil {
		return fmt.Errorf("read a tagged GTID at %s:%d: %w", r.file, r.start, err)
	}
	if len(e.SID) != 16 {
		return errShort
	}
	r.next = nextGTID{set: true, uuid: uuidText(e.SID), tag: e.Tag.String(), n: e.GNO}
	tx.GTID = gtidText(r.next.uuid, r.next.tag, e.GNO)
	if e.ImmediateCommitTimestamp != 0 {
		tx.CommitMicros = int64(e.ImmediateCommitTimestamp)
	}
	return nil
}

func (r *Reader) mariaGTID(h header, body []byte, tx *Transaction) error {
	const standalone = 1
	c := cursor{b: body}
	g := gtid.MariaDBID{Seq: c.uint64(), Domain: c.uint32(), Server: h.server}
	flags := c.byte()
	if c.bad {
		return errShort
	}
	r.next = nextGTID{set: true, maria: g, isMaria: true}
	r.open = flags&standalone == 0
	tx.GTID = g.String()
	return nil
}

// note adds the transaction at hand to the executed set.
func (r *Reader) note() {
	if !r.next.set {
		return
	}
	if r.next.isMaria && r.maria != nil {
		r.maria.Set(r.next.maria)
	} else if r.mysql != nil && !r.next.isMaria {
		r.mysql.Add(r.next.uuid, r.next.tag, r.next.n)
	}
	r.stale = true
}

// finish closes the transaction: from here on Position is behind it.
func (r *Reader) finish() {
	r.note()
	r.tx, r.stale = nil, true
	if len(r.plans) > 4096 {
		r.plans = map[uint64]*plan{} // the server numbers tables anew whenever it opens them
	}
}

func uuidText(b []byte) string {
	var t [36]byte
	hex.Encode(t[:8], b[:4])
	hex.Encode(t[9:13], b[4:6])
	hex.Encode(t[14:18], b[6:8])
	hex.Encode(t[19:23], b[8:10])
	hex.Encode(t[24:], b[10:16])
	t[8], t[13], t[18], t[23] = '-', '-', '-', '-'
	return string(t[:])
}

func gtidText(uuid, tag string, n int64) string {
	b := append(make([]byte, 0, 64), uuid...)
	if tag != "" {
		b = append(append(b, ':'), tag...)
	}
	return string(strconv.AppendInt(append(b, ':'), n, 10))
}

// origin is where the event being handled stands.
func (r *Reader) origin() *change.Origin {
	return &change.Origin{
		CommitMicros: r.tx.CommitMicros, ServerID: r.tx.ServerID, GTID: r.tx.GTID,
		File: r.file, Pos: r.start, Thread: r.tx.Thread, Snapshot: "false",
	}
}
