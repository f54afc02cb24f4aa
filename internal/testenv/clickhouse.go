package testenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// clickhouseAddress is the variable with the address of a running server.
const clickhouseAddress = "CDC_TEST_CLICKHOUSE"

// clickhouseFinders are the sources of the engine, in their order.
var clickhouseFinders = []namedFinder{
	{fromArchive, clickhouseFromArchive},
	{fromNPM, clickhouseFromNPM},
}

// ClickHouseServer is a ClickHouse server: one that the environment names, or
// the engine behind an HTTP edge (command clickhouse-edge), which has no
// native protocol.
type ClickHouseServer struct {
	*Server
	User     string
	Password string
	// Native is the port of the native protocol on the same host, 0 without.
	Native int

	external *url.URL // the environment's address, else nil
}

// ClickHouse starts a ClickHouse server.
func (e *Env) ClickHouse(ctx context.Context) (*ClickHouseServer, error) {
	return e.startClickHouse(ctx, anySource)
}

func (e *Env) startClickHouse(ctx context.Context, rule sourceRule) (*ClickHouseServer, error) {
	s := &ClickHouseServer{Server: &Server{Kind: KindClickHouse, env: e}, User: adminUser, Password: e.password}
	s.alive = s.version
	sources := []source{{fromEnvironment, s.connect}}
	for _, f := range clickhouseFinders {
		sources = append(sources, source{f.from, func(ctx context.Context) error {
			in, err := f.find(ctx, e)
			if err != nil {
				return err
			}
			return s.run(ctx, in)
		}})
	}
	if err := e.obtain(ctx, s.Server, rule, sources); err != nil {
		return nil, err
	}
	return s, nil
}

// URL is the HTTP address of a database, with user and password; empty stands
// for "default".
func (s *ClickHouseServer) URL(database string) string {
	u := url.URL{Scheme: "http", User: url.UserPassword(s.User, s.Password), Host: s.Addr, Path: "/"}
	if s.external != nil {
		u.Scheme = s.external.Scheme
	}
	q := url.Values{}
	if database != "" {
		q.Set("database", database)
	}
	if s.Native != 0 {
		q.Set("native", strconv.Itoa(s.Native))
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// Exec runs statements one by one in a database, as the administrator.
func (s *ClickHouseServer) Exec(ctx context.Context, database string, statements ...string) error {
	for _, q := range statements {
		if _, err := s.ask(ctx, database, q); err != nil {
			return fmt.Errorf("run %q on ClickHouse: %w", q, err)
		}
	}
	return nil
}

// ask sends one statement and returns the answer's text.
func (s *ClickHouseServer) ask(ctx context.Context, database, sql string) (string, error) {
	u, err := url.Parse(s.URL(database))
	if err != nil {
		return "", fmt.Errorf("read the address of ClickHouse: %w", err)
	}
	q := u.Query()
	q.Del("native")
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), strings.NewReader(sql))
	if err != nil {
		return "", fmt.Errorf("ask ClickHouse on %s: %w", s.Addr, err)
	}
	// A transport of its own leaves no idle connection behind.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return "", fmt.Errorf("ask ClickHouse on %s: %w", s.Addr, errors.Unwrap(err)) // the outer one repeats the password
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return "", fmt.Errorf("read the answer of ClickHouse on %s: %w", s.Addr, err)
	}
	answer := strings.TrimSpace(string(text))
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("ClickHouse on %s says: %s", s.Addr, answer)
	}
	return answer, nil
}

func (s *ClickHouseServer) version(ctx context.Context, _ *Server) (string, error) {
	return s.ask(ctx, "", "SELECT version()")
}

func (s *ClickHouseServer) connect(ctx context.Context) error {
	const name = clickhouseAddress
	text := os.Getenv(name)
	if text == "" {
		return fmt.Errorf("%w: %s is not set", errNotHere, name)
	}
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Port() == "" {
		return fmt.Errorf("read %s: write http://user:password@host:8123/, with ?native=9000 to test the native protocol, too", name)
	}
	s.external = u
	s.User = u.User.Username()
	s.Password, _ = u.User.Password()
	s.Host, s.Addr = u.Hostname(), u.Host
	if s.Port, err = strconv.Atoi(u.Port()); err != nil {
		return fmt.Errorf("read the port in %s: %w", name, err)
	}
	if native := u.Query().Get("native"); native != "" {
		if s.Native, err = strconv.Atoi(native); err != nil {
			return fmt.Errorf("read the native port in %s: %w", name, err)
		}
	}
	s.Version, err = s.version(ctx, s.Server)
	return err
}

// run starts the edge of an installation: its server is the edge, its root
// the folder with the engine.
func (s *ClickHouseServer) run(ctx context.Context, in installation) error {
	dir, err := s.env.newServerDir(KindClickHouse)
	if err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return fmt.Errorf("make the data folder of ClickHouse: %w", err)
	}
	if err := s.env.user.own(data); err != nil {
		return err
	}
	prog := in.server
	prog.env = []string{"CDC_EDGE_PASSWORD=" + s.Password}
	l := newLocal(KindClickHouse, prog, s.env.user, dir)
	l.args = func(port int) []string {
		return []string{
			"-library", filepath.Join(in.root, clickhouseLibrary), "-path", data,
			"-listen", "127.0.0.1:" + strconv.Itoa(port), "-user", s.User,
		}
	}
	s.engine, s.dir = l, dir
	return s.begin(ctx, nil)
}
