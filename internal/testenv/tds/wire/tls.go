package wire

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
)

// Handshake does the server's side of the TLS handshake whose records travel inside pre-login packets. What follows
// goes through the first connection that it returns, or, when the login alone is encrypted, through the second after
// the login.
func Handshake(conn net.Conn, config *tls.Config) (secure, plain net.Conn, err error) {
	inner := &handshakeConn{Conn: conn, in: bufio.NewReader(conn), wrapped: true}
	config = config.Clone()
	// TDS 7.4 has no place for what TLS 1.3 sends after the handshake.
	config.MaxVersion = tls.VersionTLS12
	config.SessionTicketsDisabled = true
	c := tls.Server(inner, config)
	if err := c.Handshake(); err != nil {
		return nil, nil, fmt.Errorf("shake hands for TLS: %w", err)
	}
	inner.wrapped = false
	return c, inner, nil
}

// handshakeConn carries TLS records in packets until the handshake is over, and bare afterwards.
type handshakeConn struct {
	net.Conn
	in      *bufio.Reader
	wrapped bool
	left    []byte // of the packet being read
}

func (h *handshakeConn) Read(b []byte) (int, error) {
	if len(h.left) == 0 && h.wrapped {
		// After its last packet of the handshake a client goes on with bare records, which may arrive while the
		// handshake's own packets are still being read: a record's first byte is none of a packet's.
		first, err := h.in.Peek(1)
		if err != nil {
			return 0, err
		}
		if Kind(first[0]) != KindPrelogin {
			return h.in.Read(b)
		}
		p, err := ReadPacket(h.in)
		if err != nil {
			return 0, err
		}
		h.left = p.Data
	}
	if len(h.left) > 0 {
		n := copy(b, h.left)
		h.left = h.left[n:]
		return n, nil
	}
	return h.in.Read(b)
}

func (h *handshakeConn) Write(b []byte) (int, error) {
	if !h.wrapped {
		return h.Conn.Write(b)
	}
	// The client may have room for the smallest packets alone; the login, which says so, is still to come.
	w := NewPacketWriter(h.Conn, KindPrelogin, MinPacketSize)
	if _, err := w.Write(b); err != nil {
		return 0, err
	}
	return len(b), w.Finish()
}
