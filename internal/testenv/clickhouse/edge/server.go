// Package edge puts ClickHouse's HTTP interface in front of an engine that
// runs in this process, for tests and the demo.
//
// SQL, types, storage and error texts are ClickHouse's own. What belongs to
// the server around them is imitated here, and what is not is refused with an
// error of its own: sessions, external tables, HTTP compression other than
// gzip. Results are complete before the first byte is sent, so an error never
// arrives in the middle of one.
package edge

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/etlsandbox/cdc/internal/testenv/clickhouse/engine"
)

// Server answers ClickHouse's HTTP requests.
type Server struct {
	Engine *engine.Engine
	// User and Password are the only ones that are let in.
	User, Password string
	// Parallel bounds the statements that run at once; more wait.
	Parallel int
	Log      *slog.Logger
}

// Handler returns the server's entrance.
func (s *Server) Handler() http.Handler {
	gate := make(chan struct{}, max(1, s.Parallel))
	mux := http.NewServeMux()
	ok := func(w http.ResponseWriter, _ *http.Request) { s.say(w, "Ok.\n") }
	mux.HandleFunc("GET /ping", ok)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.URL.RawQuery == "" {
			ok(w, r)
			return
		}
		select {
		case gate <- struct{}{}:
			defer func() { <-gate }()
		case <-r.Context().Done():
			return
		}
		s.serve(w, r)
	})
	return mux
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-ClickHouse-Server-Display-Name", "clickhouse-edge")
	h.Set("X-ClickHouse-Timezone", "UTC")
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	if err := s.authenticate(r); err != nil {
		s.fail(w, err)
		return
	}
	req, err := parse(r)
	if err != nil {
		s.fail(w, err)
		return
	}
	h.Set("X-ClickHouse-Query-Id", req.id)
	if err := s.run(w, req); err != nil {
		s.fail(w, err)
	}
}

// authenticate looks where ClickHouse does: basic auth, headers, parameters.
func (s *Server) authenticate(r *http.Request) error {
	user, password, ok := r.BasicAuth()
	if name := r.Header.Get("X-ClickHouse-User"); !ok && name != "" {
		user, password, ok = name, r.Header.Get("X-ClickHouse-Key"), true
	}
	if q := r.URL.Query(); !ok {
		user, password = q.Get("user"), q.Get("password")
	}
	if user == "" {
		user = "default"
	}
	if user != s.User || subtle.ConstantTimeCompare([]byte(password), []byte(s.Password)) != 1 {
		return refuse(codeAuthentication, "%s: Authentication failed: password is incorrect, or there is no user with such name. (AUTHENTICATION_FAILED)", user)
	}
	return nil
}

// run executes a request on a connection of its own and answers it.
func (s *Server) run(w http.ResponseWriter, req *request) error {
	conn, err := s.Engine.Connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := req.prepare(conn); err != nil {
		return err
	}
	if req.rows != nil {
		st, err := conn.Insert(req.sql, req.rowFormat, req.rows)
		if err != nil {
			return err
		}
		return s.answer(w, req, nil, st)
	}
	out, st, err := conn.Query(req.sql, req.format, req.params)
	if err != nil {
		return err
	}
	return s.answer(w, req, out, st)
}

func (s *Server) say(w http.ResponseWriter, text string) {
	if _, err := io.WriteString(w, text); err != nil {
		s.Log.Debug("the client does not read its answer", "err", err)
	}
}

func newQueryID() (string, error) {
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("draw a query id: %w", err)
	}
	return hex.EncodeToString(b), nil
}

// quote writes text as a string literal.
func quote(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}

// quoteName writes text as an identifier.
func quoteName(text string) string {
	return "`" + strings.NewReplacer(`\`, `\\`, "`", "\\`").Replace(text) + "`"
}
