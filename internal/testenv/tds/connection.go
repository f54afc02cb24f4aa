package tds

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/etlsandbox/cdc/internal/testenv/tds/rewrite"
	"github.com/etlsandbox/cdc/internal/testenv/tds/wire"
)

const (
	// loginPatience is how long a client may take to log in.
	loginPatience = 30 * time.Second
	// cancelPatience is how long PostgreSQL may take to cancel a statement before its session is given up.
	cancelPatience = 10 * time.Second
	// longestLogin limits a login's message.
	longestLogin = 128 << 10
)

// errCut ends a connection on purpose.
var errCut = errors.New("the connection was cut on purpose")

// connection is one client.
type connection struct {
	server *Server
	id     int
	raw    net.Conn // as accepted
	conn   net.Conn // the same, or TLS over it
	out    *wire.PacketWriter

	packets chan wire.Packet
	// life ends with the connection.
	life context.Context
	end  context.CancelCauseFunc

	mu sync.Mutex
	// cancelRequest cancels the request being served; nil between requests.
	cancelRequest context.CancelFunc
	// attention says that the client wants its request cancelled and waits for the confirmation.
	attention bool
}

func newConnection(s *Server, c net.Conn, id int) *connection {
	life, end := context.WithCancelCause(context.Background())
	return &connection{server: s, id: id, raw: c, conn: c, packets: make(chan wire.Packet, 4), life: life, end: end}
}

// cut drops the connection as a lost peer does.
func (c *connection) cut() {
	if tcp, ok := c.raw.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // it is being thrown away
	}
	c.end(errCut)
	_ = c.raw.Close()
}

// serve speaks with the client until one side ends.
func (c *connection) serve() {
	defer c.cut()
	_ = c.raw.SetDeadline(time.Now().Add(loginPatience)) // fails only on a closed connection, which the next read tells
	session, err := c.login()
	if err != nil {
		return
	}
	defer session.close()
	_ = c.raw.SetDeadline(time.Time{}) // as above
	var reader sync.WaitGroup
	reader.Go(c.read)
	defer reader.Wait()
	defer c.cut()
	for c.request(session) == nil {
	}
}

// login does the pre-login, the TLS handshake and the login.
func (c *connection) login() (*session, error) {
	wanted, err := wire.ReadPrelogin(c.conn)
	if err != nil {
		return nil, err
	}
	answer := wire.EncryptNever
	if c.server.options.TLS != nil {
		switch wanted {
		case wire.EncryptAll, wire.EncryptRequired:
			answer = wire.EncryptAll
		case wire.EncryptLogin:
			answer = wire.EncryptLogin
		}
	}
	first := wire.NewPacketWriter(c.conn, wire.KindReply, wire.DefaultPacketSize)
	if _, err := first.Write(wire.PreloginReply(answer)); err != nil {
		return nil, err
	}
	if err := first.Finish(); err != nil {
		return nil, err
	}
	plain := c.conn
	if answer != wire.EncryptNever {
		if c.conn, plain, err = wire.Handshake(c.raw, c.server.options.TLS); err != nil {
			return nil, err
		}
	}
	kind, body, err := wire.ReadMessage(c.conn, longestLogin)
	if err != nil {
		return nil, err
	}
	if kind != wire.KindLogin {
		return nil, fmt.Errorf("log in: a message of kind %d came", kind)
	}
	if answer == wire.EncryptLogin {
		c.conn = plain
	}
	c.out = wire.NewPacketWriter(c.conn, wire.KindReply, wire.DefaultPacketSize)
	l, err := wire.ReadLogin(body)
	if err != nil {
		return nil, c.refuse(wire.Message{Number: rewrite.Refusal, State: 1, Class: 14, Text: err.Error()})
	}
	return c.admit(l)
}

// admit checks a login and opens its session.
func (c *connection) admit(l wire.Login) (*session, error) {
	o := c.server.options
	right := subtle.ConstantTimeCompare([]byte(l.Password), []byte(o.Password)) == 1
	if l.User != o.User || !right {
		return nil, c.refuse(wire.Message{Number: 18456, State: 1, Class: 14, Text: "Login failed for user '" + l.User + "'."})
	}
	s, err := newSession(c)
	if err != nil {
		return nil, c.refuse(wire.Message{Number: rewrite.Refusal, State: 1, Class: 20, Text: err.Error()})
	}
	if l.Database == "" {
		l.Database = "master"
	}
	if err := s.use(c.life, l.Database); err != nil {
		s.close()
		text := fmt.Sprintf("Cannot open database \"%s\" requested by the login. The login failed.", l.Database)
		return nil, c.refuse(
			wire.Message{Number: 4060, State: 1, Class: 11, Text: text},
			wire.Message{Number: 18456, State: 1, Class: 14, Text: "Login failed for user '" + l.User + "'."})
	}
	size := l.PacketSize
	if size < wire.MinPacketSize || size > wire.MaxPacketSize {
		size = wire.DefaultPacketSize
	}
	t := wire.NewTokens(c.out, false)
	t.Accept(s.database, size)
	t.End(wire.Done{})
	if err := errors.Join(t.Err(), c.out.Finish()); err != nil {
		s.close()
		return nil, err
	}
	c.out.Resize(size)
	return s, nil
}

// refuse ends a login with errors.
func (c *connection) refuse(messages ...wire.Message) error {
	t := wire.NewTokens(c.out, false)
	for _, m := range messages {
		t.Message(m)
	}
	t.End(wire.Done{Failed: true})
	return errors.Join(errors.New(messages[0].Text), t.Err(), c.out.Finish())
}

// read hands packets on, and looks out for the client's cancellation while a request is served.
func (c *connection) read() {
	defer close(c.packets)
	for {
		p, err := wire.ReadPacket(c.conn)
		if err != nil {
			c.end(err)
			return
		}
		if p.Kind == wire.KindAttention && c.cancelled() {
			continue
		}
		select {
		case c.packets <- p:
		case <-c.life.Done():
			return
		}
	}
}

// cancelled cancels the request being served; false if there is none.
func (c *connection) cancelled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancelRequest == nil {
		return false
	}
	c.attention = true
	c.cancelRequest()
	return true
}

// request serves one message. An error ends the connection.
func (c *connection) request(s *session) error {
	p, ok := <-c.packets
	if !ok {
		return io.EOF
	}
	ctx, cancel := context.WithCancel(c.life)
	c.mu.Lock()
	c.cancelRequest, c.attention = cancel, false
	c.mu.Unlock()
	body := &message{c: c, packet: p}
	reply := wire.NewTokens(c.out, p.Kind == wire.KindRPC)
	s.reply = reply
	err := s.serve(ctx, p, body)
	if err == nil {
		err = body.drain()
	}
	c.mu.Lock()
	c.cancelRequest = nil
	attention := c.attention || p.Kind == wire.KindAttention
	c.mu.Unlock()
	cancel()
	if err != nil {
		return err
	}
	reply.End(wire.Done{Attention: attention, Failed: s.failed && !attention})
	return errors.Join(reply.Err(), c.out.Finish())
}

// message reads the body of a message as its packets come in.
type message struct {
	c      *connection
	packet wire.Packet
	ended  bool
}

// Read implements io.Reader.
func (m *message) Read(b []byte) (int, error) {
	for len(m.packet.Data) == 0 {
		if m.packet.Last {
			m.ended = true
			return 0, io.EOF
		}
		p, ok := <-m.c.packets
		if !ok {
			return 0, io.ErrUnexpectedEOF
		}
		if p.Kind != m.packet.Kind {
			return 0, fmt.Errorf("read a message of kind %d: a packet of kind %d came", m.packet.Kind, p.Kind)
		}
		m.packet = p
	}
	n := copy(b, m.packet.Data)
	m.packet.Data = m.packet.Data[n:]
	return n, nil
}

// drain passes over what nobody has read.
func (m *message) drain() error {
	_, err := io.Copy(io.Discard, m)
	return err
}

// ignored reports that the client took its message back; known once the message was read to its end.
func (m *message) ignored() bool { return m.packet.Last && m.packet.Ignore }
