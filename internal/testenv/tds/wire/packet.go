// Package wire reads and writes the messages of TDS 7.4, the protocol of SQL Server, from the server's side: packets,
// pre-login with its TLS handshake, login, type descriptions, values and result tokens. It knows no SQL.
package wire

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Kind is the type of a message.
type Kind byte

// The kinds of messages that clients send, and the one that servers answer with.
const (
	KindBatch       Kind = 1
	KindRPC         Kind = 3
	KindReply       Kind = 4
	KindAttention   Kind = 6
	KindBulk        Kind = 7
	KindTransaction Kind = 14
	KindLogin       Kind = 16
	KindPrelogin    Kind = 18
)

const (
	headerSize = 8
	// DefaultPacketSize is what both sides use until the login settles another.
	DefaultPacketSize = 4096
	// MinPacketSize and MaxPacketSize limit what a login may ask for.
	MinPacketSize = 512
	MaxPacketSize = 16 << 10
	maxPacketSize = 32767
)

// Bits of a packet's status.
const (
	statusLast   = 0x01
	statusIgnore = 0x02 // with statusLast: the client gave the message up
	statusReset  = 0x08
	statusSkip   = 0x10 // reset, keeping the transaction
)

// Packet is one packet of a message. Data belongs to the receiver.
type Packet struct {
	Kind Kind
	// Last ends the message; Ignore says that the client took it back.
	Last, Ignore bool
	// Reset asks for a session as if new before the message is served, KeepTransaction to spare the transaction.
	Reset, KeepTransaction bool
	Data                   []byte
}

// ReadPacket reads one packet.
func ReadPacket(r io.Reader) (Packet, error) {
	var h [headerSize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return Packet{}, err
	}
	size := int(binary.BigEndian.Uint16(h[2:]))
	if size < headerSize || size > maxPacketSize {
		return Packet{}, fmt.Errorf("read a packet: its header says %d bytes, between %d and %d are possible", size, headerSize, maxPacketSize)
	}
	p := Packet{
		Kind: Kind(h[0]), Last: h[1]&statusLast != 0, Ignore: h[1]&statusIgnore != 0,
		Reset: h[1]&(statusReset|statusSkip) != 0, KeepTransaction: h[1]&statusSkip != 0,
		Data: make([]byte, size-headerSize),
	}
	if _, err := io.ReadFull(r, p.Data); err != nil {
		return Packet{}, fmt.Errorf("read a packet: %w", err)
	}
	return p, nil
}

// ReadMessage reads a whole message of at most limit bytes.
func ReadMessage(r io.Reader, limit int) (Kind, []byte, error) {
	var body []byte
	for {
		p, err := ReadPacket(r)
		if err != nil {
			return 0, nil, err
		}
		if body = append(body, p.Data...); len(body) > limit {
			return 0, nil, fmt.Errorf("read a message of kind %d: it is longer than %d bytes", p.Kind, limit)
		}
		if p.Last {
			return p.Kind, body, nil
		}
	}
}

// PacketWriter cuts a reply into packets. It sends a packet when it is full, and the last one at Finish.
type PacketWriter struct {
	w    io.Writer
	kind Kind
	buf  []byte
	size int
	id   byte
}

// NewPacketWriter writes messages of a kind in packets of size bytes.
func NewPacketWriter(w io.Writer, kind Kind, size int) *PacketWriter {
	return &PacketWriter{w: w, kind: kind, size: size, buf: make([]byte, headerSize, size)}
}

// Resize changes the size of the packets to come; between messages only.
func (p *PacketWriter) Resize(size int) { p.size = size }

// Write adds bytes to the message.
func (p *PacketWriter) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if len(p.buf) == p.size {
			if err := p.send(0); err != nil {
				return 0, err
			}
		}
		k := min(p.size-len(p.buf), len(b))
		p.buf = append(p.buf, b[:k]...)
		b = b[k:]
	}
	return n, nil
}

// Finish sends the message's last packet.
func (p *PacketWriter) Finish() error {
	err := p.send(statusLast)
	p.id = 0
	return err
}

func (p *PacketWriter) send(status byte) error {
	p.id++
	p.buf[0], p.buf[1] = byte(p.kind), status
	binary.BigEndian.PutUint16(p.buf[2:], uint16(len(p.buf)))
	p.buf[4], p.buf[5], p.buf[6], p.buf[7] = 0, 0, p.id, 0
	_, err := p.w.Write(p.buf)
	p.buf = p.buf[:headerSize]
	if err != nil {
		return fmt.Errorf("send a packet: %w", err)
	}
	return nil
}
