package tds

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"github.com/etlsandbox/cdc/internal/testenv/tds/rewrite"
)

// Options say where a Server keeps its data and whom it lets in.
type Options struct {
	// Postgres is the DSN of the PostgreSQL database, 15 or later, that executes; its user must be allowed to make
	// schemas. The database belongs to the double alone.
	Postgres string
	// User and Password are the only login.
	User, Password string
	// Addr is where to listen; empty stands for a free port of 127.0.0.1.
	Addr string
	// TLS is the server's certificate. Without it clients that ask for encryption are told that there is none.
	TLS *tls.Config
	// Databases are made at the start unless they are there; master always is.
	Databases []string
}

// Server is a running double. Its methods may be called from several goroutines.
type Server struct {
	options Options
	hooks   hooks

	mu       sync.Mutex
	addr     string // where it listens, the same after a Restart
	listener net.Listener
	sessions map[*connection]struct{}
	count    int
	closed   bool
	work     sync.WaitGroup
}

// Start makes a double over o.Postgres and listens. The caller must Close it.
func Start(ctx context.Context, o Options) (*Server, error) {
	s := &Server{options: o, addr: o.Addr, sessions: map[*connection]struct{}{}}
	if s.addr == "" {
		s.addr = "127.0.0.1:0"
	}
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	if err := s.listen(); err != nil {
		return nil, err
	}
	return s, nil
}

// prepare makes what the double needs in PostgreSQL.
func (s *Server) prepare(ctx context.Context) error {
	pg, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer pg.Close(context.WithoutCancel(ctx))
	// One double prepares at a time: two may share a server's catalog.
	sql := []string{"BEGIN", "SELECT pg_advisory_xact_lock(5070050700)", rewrite.Library, rewrite.SystemViews, "COMMIT"}
	for _, q := range sql {
		if _, err := pg.Exec(ctx, q).ReadAll(); err != nil {
			return fmt.Errorf("prepare PostgreSQL for the SQL Server double: %w", err)
		}
	}
	for _, name := range append([]string{"master"}, s.options.Databases...) {
		if err := createDatabase(ctx, pg, name, true); err != nil {
			return err
		}
	}
	return nil
}

// connect opens a session of PostgreSQL. A cancelled context cancels the statement and leaves the session usable.
func (s *Server) connect(ctx context.Context) (*pgconn.PgConn, error) {
	config, err := pgconn.ParseConfig(s.options.Postgres)
	if err != nil {
		return nil, fmt.Errorf("read the address of PostgreSQL: %w", err)
	}
	config.BuildContextWatcherHandler = func(pg *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: pg, DeadlineDelay: cancelPatience}
	}
	for name, value := range map[string]string{
		"TimeZone": "UTC", "DateStyle": "ISO, YMD", "bytea_output": "hex", "standard_conforming_strings": "on",
		"client_encoding": "UTF8", "client_min_messages": "error",
	} {
		config.RuntimeParams[name] = value
	}
	pg, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to the PostgreSQL behind the SQL Server double: %w", err)
	}
	return pg, nil
}

// listen begins to serve.
func (s *Server) listen() error {
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		return fmt.Errorf("listen for SQL Server clients: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener, s.addr = l, l.Addr().String()
	s.work.Go(func() { s.accept(l) })
	return nil
}

func (s *Server) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return // Crash or Close closed it
		}
		s.mu.Lock()
		if s.listener != l {
			s.mu.Unlock()
			_ = c.Close() // the server is gone
			return
		}
		s.count++
		conn := newConnection(s, c, s.count)
		s.sessions[conn] = struct{}{}
		s.work.Go(func() {
			conn.serve()
			s.mu.Lock()
			delete(s.sessions, conn)
			s.mu.Unlock()
		})
		s.mu.Unlock()
	}
}

// Addr is host:port, the same over Crash and Restart.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// Sessions is how many sessions were begun.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// Drop cuts every connection; new ones are served.
func (s *Server) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.sessions {
		c.cut()
	}
}

// Crash stops listening and drops all connections; transactions under way are rolled back. What was committed stays
// for a Restart. It returns when all sessions have ended.
func (s *Server) Crash() {
	s.mu.Lock()
	if s.listener != nil {
		_ = s.listener.Close() // nothing is lost
		s.listener = nil
	}
	for c := range s.sessions {
		c.cut()
	}
	s.mu.Unlock()
	s.work.Wait()
}

// Restart serves again on the same port, with what was committed.
func (s *Server) Restart() error {
	s.mu.Lock()
	closed, running := s.closed, s.listener != nil
	s.mu.Unlock()
	if closed {
		return errors.New("restart the SQL Server double: it is closed")
	}
	if running {
		s.Crash()
	}
	return s.listen()
}

// Close ends the double. It may be called again.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.Crash()
}
