package binlog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/etlsandbox/cdc/cdc"
)

const (
	headerSize   = 19       // of a log event
	crcSize      = 4        // of an event's checksum
	packetLimit  = 0xffffff // a packet of this size goes on in the next one
	bufferSize   = 256 << 10
	keepBigEvent = 4 << 20 // a buffer grown beyond this is given back after its event
)

// header is the fixed part of a log event.
type header struct {
	when   uint32 // seconds since the epoch
	typ    byte
	server uint32
	size   uint32 // of the whole event: header, body, checksum
	next   uint32 // low 32 bits of the offset after the event; 0 if unknown
	flags  uint16
}

func parseHeader(b []byte) header {
	return header{
		when:   binary.LittleEndian.Uint32(b),
		typ:    b[4],
		server: binary.LittleEndian.Uint32(b[5:]),
		size:   binary.LittleEndian.Uint32(b[9:]),
		next:   binary.LittleEndian.Uint32(b[13:]),
		flags:  binary.LittleEndian.Uint16(b[17:]),
	}
}

// packets reads log events out of the packets of a connection. Its buffer is large, so that a busy log
// costs few system calls, and an event that lies in it whole is not copied.
type packets struct {
	conn     net.Conn
	patience time.Duration // without a byte from the server
	buf      []byte
	lo, hi   int           // unread bytes are buf[lo:hi]
	left     int           // bytes of the current packet not yet taken
	more     bool          // the current packet goes on in another one
	inside   bool          // part of an event has been taken
	big      []byte        // an event that does not lie in buf whole
	bytes    atomic.Uint64 // taken so far
}

func newPackets(conn net.Conn, patience time.Duration) *packets {
	return &packets{conn: conn, patience: patience, buf: make([]byte, bufferSize)}
}

// buffered reports whether bytes are at hand without waiting for the network.
func (p *packets) buffered() bool { return p.hi > p.lo }

// fill makes n bytes available at buf[lo:]; n is at most the buffer's size. The context ends the wait
// only where nothing of an event has arrived: there the reader can go on later.
func (p *packets) fill(ctx context.Context, n int) error {
	if p.hi-p.lo >= n {
		return nil
	}
	if p.lo > 0 {
		p.hi = copy(p.buf, p.buf[p.lo:p.hi])
		p.lo = 0
	}
	idle := p.hi == 0 && !p.inside && ctx.Done() != nil
	if idle {
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if err := p.conn.SetReadDeadline(time.Now().Add(p.patience)); err != nil {
		return cdc.Classify("read the log", err)
	}
	if idle {
		woken := make(chan struct{})
		stop := context.AfterFunc(ctx, func() {
			_ = p.conn.SetReadDeadline(time.Unix(1, 0))
			close(woken)
		})
		defer func() {
			if !stop() {
				<-woken // or it would hit the deadline of a later read
			}
		}()
	}
	for p.hi < n {
		k, err := p.conn.Read(p.buf[p.hi:])
		p.hi += k
		if err != nil && p.hi < n {
			if idle && p.hi == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			if idle && ctx.Err() != nil && p.conn.SetReadDeadline(time.Now().Add(p.patience)) == nil {
				idle = false // something has arrived already: take the rest of it
				continue
			}
			return cdc.Classify("read the log", err)
		}
	}
	return nil
}

// begin waits for the next event and returns its header; the body is then taken by body or by Read.
func (p *packets) begin(ctx context.Context) (header, error) {
	if err := p.fill(ctx, 5); err != nil {
		return header{}, err
	}
	size := int(p.buf[p.lo]) | int(p.buf[p.lo+1])<<8 | int(p.buf[p.lo+2])<<16
	status := p.buf[p.lo+4]
	if status != 0 || size < 1+headerSize {
		return header{}, p.notEvent(ctx, size, status)
	}
	if err := p.fill(ctx, 5+headerSize); err != nil {
		return header{}, err
	}
	h := parseHeader(p.buf[p.lo+5:])
	if int(h.size) < headerSize || size < packetLimit && int(h.size) != size-1 {
		return header{}, fmt.Errorf("read the log: an event of %d bytes in a packet of %d: %w", h.size, size, cdc.ErrCorrupt)
	}
	p.lo += 5
	p.left, p.more, p.inside = size-1, size == packetLimit, true
	p.bytes.Add(uint64(h.size))
	return h, nil
}

func (p *packets) notEvent(ctx context.Context, size int, status byte) error {
	if size > len(p.buf)-4 {
		return fmt.Errorf("read the log: a packet of %d bytes with status %#x: %w", size, status, cdc.ErrCorrupt)
	}
	if err := p.fill(ctx, 4+size); err != nil {
		return err
	}
	b := p.buf[p.lo+4 : p.lo+4+size]
	p.lo += 4 + size
	switch {
	case status == 0xfe && size < 9:
		return &cdc.Error{Doing: "read the log", Kind: cdc.ErrDisconnected, Cause: errors.New("the server ended the stream")}
	case status == 0xff && size >= 3:
		e := &gomysql.MyError{Code: binary.LittleEndian.Uint16(b[1:])}
		text := b[3:]
		if len(text) > 6 && text[0] == '#' {
			e.State, text = string(text[1:6]), text[6:]
		}
		e.Message = string(text)
		return dumpError(e)
	}
	return fmt.Errorf("read the log: a packet of %d bytes with status %#x: %w", size, status, cdc.ErrCorrupt)
}

// event returns the current event whole, header and checksum included. It is valid until the next call.
func (p *packets) event(ctx context.Context, h header) ([]byte, error) {
	n := int(h.size)
	if p.left == n && n <= len(p.buf) {
		if err := p.fill(ctx, n); err != nil {
			return nil, err
		}
		e := p.buf[p.lo : p.lo+n]
		p.lo += n
		p.left, p.inside = 0, false
		return e, nil
	}
	e, err := readN(p, p.big[:0], n)
	if err != nil {
		return nil, err
	}
	p.big, p.inside = e, false
	if cap(p.big) > keepBigEvent {
		p.big = nil
	}
	return e, p.finish()
}

// readN reads n bytes into b, which grows with what arrives: the size was announced, not proven.
func readN(r io.Reader, b []byte, n int) ([]byte, error) {
	const step = 16 << 20
	for len(b) < n {
		from, more := len(b), min(n-len(b), step)
		b = slices.Grow(b, more)[:from+more]
		if _, err := io.ReadFull(r, b[from:]); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// Read takes bytes of the current event, across packets. It returns io.EOF at the event's end.
func (p *packets) Read(b []byte) (int, error) {
	if p.left == 0 {
		if !p.more {
			return 0, io.EOF
		}
		if err := p.fill(context.Background(), 4); err != nil {
			return 0, err
		}
		size := int(p.buf[p.lo]) | int(p.buf[p.lo+1])<<8 | int(p.buf[p.lo+2])<<16
		p.lo += 4
		p.left, p.more = size, size == packetLimit
		if size == 0 {
			return 0, io.EOF
		}
	}
	if p.hi == p.lo {
		if err := p.fill(context.Background(), 1); err != nil {
			return 0, err
		}
	}
	n := copy(b, p.buf[p.lo:min(p.hi, p.lo+p.left)])
	p.lo += n
	p.left -= n
	return n, nil
}

// finish passes over what was not taken of the current event.
func (p *packets) finish() error {
	if p.left > 0 || p.more {
		if _, err := io.Copy(io.Discard, p); err != nil {
			return err
		}
	}
	p.inside = false
	return nil
}

// checksummed verifies an event's checksum and returns the event without it.
func checksummed(e []byte) ([]byte, error) {
	n := len(e) - crcSize
	if n < headerSize || crc32.ChecksumIEEE(e[:n]) != binary.LittleEndian.Uint32(e[n:]) {
		return nil, &cdc.Error{Doing: "read the log", Kind: cdc.ErrCorrupt, Cause: errors.New("an event's checksum does not match"),
			Hint: "the log file or the network is damaged: run mysqlbinlog --verify-binlog-checksum on the source"}
	}
	return e[:n], nil
}
