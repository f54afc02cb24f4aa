package testenv

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Proxy stands between a client and a server on loopback and fails on
// command. Its methods may be called from several goroutines.
type Proxy struct {
	Addr string // where clients connect, stable over Refuse and Heal

	target   string
	up, down atomic.Int64
	rate     atomic.Int64 // bytes per second and direction of a connection; 0: as fast as it goes

	mu       sync.Mutex
	listener net.Listener // nil while refusing
	links    map[*link]struct{}
	open     chan struct{} // closed while bytes may flow; replaced by Stall
	closed   bool
	work     sync.WaitGroup // every goroutine of the proxy
}

// link is one client's connection and, once dialled, the server's. Its
// fields belong to the Proxy's mutex.
type link struct {
	conns []net.Conn
	gone  chan struct{} // closed when the link has ended
	ended bool
}

// end closes both connections; with reset the peers see what a lost peer
// looks like, without it they get what was already forwarded.
func (l *link) end(reset bool) {
	if l.ended {
		return
	}
	l.ended = true
	close(l.gone)
	for _, c := range l.conns {
		if tcp, ok := c.(*net.TCPConn); ok && reset {
			_ = tcp.SetLinger(0) // it is being thrown away
		}
		_ = c.Close()
	}
}

// StartProxy forwards a free loopback port to target ("host:port"), which
// need not be reachable yet. The caller must Close it.
func StartProxy(target string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for a proxy to %s: %w", target, err)
	}
	p := &Proxy{Addr: l.Addr().String(), target: target, links: map[*link]struct{}{}, open: make(chan struct{})}
	close(p.open)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.accept(l)
	return p, nil
}

// NewProxy is StartProxy for a test: the proxy ends with it.
func NewProxy(t TB, target string) *Proxy {
	t.Helper()
	p, err := StartProxy(target)
	if err != nil {
		t.Fatalf("testenv: %v", err)
	}
	t.Cleanup(p.Close)
	return p
}

// accept serves l. The caller holds p.mu.
func (p *Proxy) accept(l net.Listener) {
	p.listener = l
	p.work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // Refuse or Close closed it
			}
			p.serve(c)
		}
	})
}

// serve connects a client to the target, in the background.
func (p *Proxy) serve(client net.Conn) {
	l := &link{conns: []net.Conn{client}, gone: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.listener == nil {
		l.end(true)
		return
	}
	p.links[l] = struct{}{}
	p.work.Go(func() {
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			p.drop(l, true)
			return
		}
		if !p.join(l, server) {
			return
		}
		p.work.Go(func() { p.pump(l, server, client, &p.up) })
		p.pump(l, client, server, &p.down)
	})
}

// join adds the server's connection to l, unless l was cut while we dialled.
func (p *Proxy) join(l *link, server net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.ended {
		_ = server.Close() // nothing was sent on it
		return false
	}
	l.conns = append(l.conns, server)
	return true
}

// pump copies from src to dst until one of them ends, then ends both.
func (p *Proxy) pump(l *link, dst, src net.Conn, count *atomic.Int64) {
	defer p.drop(l, false)
	buf := make([]byte, 64<<10)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			select {
			case <-p.gate():
			case <-l.gone:
				return
			}
			if !p.slow(l, n) {
				return
			}
			// Counted first: who has received a byte finds it counted.
			count.Add(int64(n))
			if _, err := dst.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// slow waits as long as n bytes take at the proxy's rate; false if the link ended meanwhile.
func (p *Proxy) slow(l *link, n int) bool {
	rate := p.rate.Load()
	if rate <= 0 {
		return true
	}
	t := time.NewTimer(time.Duration(n) * time.Second / time.Duration(rate))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.gone:
		return false
	}
}

// gate is closed while bytes may flow.
func (p *Proxy) gate() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open
}

func (p *Proxy) drop(l *link, reset bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
	l.end(reset)
}

// Cut resets every connection; new ones are served.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut()
}

func (p *Proxy) cut() {
	for l := range p.links {
		l.end(true)
		delete(p.links, l)
	}
}

// Refuse resets every connection and refuses new ones, like a server that is
// down, until Heal.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		_ = p.listener.Close() // it has nothing to lose
		p.listener = nil
	}
	p.cut()
}

// Stall holds every byte back, of old connections and of new ones, like a
// network that drops packets, until Heal.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.open:
		p.open = make(chan struct{})
	default: // stalled already
	}
}

// Limit makes each direction of each connection carry at most about so many bytes per second, like a slow
// network or a busy server, until it is called with 0. Heal does not end it.
func (p *Proxy) Limit(bytesPerSecond int64) { p.rate.Store(bytesPerSecond) }

// Heal ends Refuse and Stall: bytes that were held back flow again.
func (p *Proxy) Heal() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return fmt.Errorf("heal the proxy to %s: it is closed", p.target)
	}
	if p.listener == nil {
		l, err := net.Listen("tcp", p.Addr)
		if err != nil {
			return fmt.Errorf("listen again for the proxy to %s: %w", p.target, err)
		}
		p.accept(l)
	}
	select {
	case <-p.open:
	default:
		close(p.open)
	}
	return nil
}

// Bytes counts what was forwarded to the server and from it.
func (p *Proxy) Bytes() (up, down int64) { return p.up.Load(), p.down.Load() }

// Connections counts the clients connected now.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// Close resets all connections and frees the port. It may be called again.
func (p *Proxy) Close() {
	p.Refuse()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.work.Wait()
}
