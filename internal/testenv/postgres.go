package testenv

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// oldestPostgres is the first version with UNIQUE NULLS NOT DISTINCT.
const oldestPostgres = 15

// postgresAddress is the variable with the address of a running server.
const postgresAddress = "CDC_TEST_POSTGRES"

// postgresFinders are the sources of its program files, in their order.
var postgresFinders = []namedFinder{
	{fromMachine, postgresOnMachine},
	{fromPackages, postgresInPackages},
}

// PostgresServer is a PostgreSQL server, 15 or later.
type PostgresServer struct {
	*Server
	User     string
	Password string

	external *url.URL // the environment's address, else nil
}

// Postgres starts a PostgreSQL server; each extra is a setting, "name=value",
// that wins over the defaults.
func (e *Env) Postgres(ctx context.Context, extra ...string) (*PostgresServer, error) {
	return e.startPostgres(ctx, anySource, extra)
}

func (e *Env) startPostgres(ctx context.Context, from sourceRule, extra []string) (*PostgresServer, error) {
	s := &PostgresServer{
		Server: &Server{Kind: KindPostgres, env: e},
		User:   adminUser, Password: e.password,
	}
	s.alive = s.version
	var args []string
	for _, setting := range extra {
		args = append(args, "-c", setting)
	}
	sources := []source{{fromEnvironment, s.connect}}
	for _, f := range postgresFinders {
		sources = append(sources, source{f.from, func(ctx context.Context) error {
			in, err := f.find(ctx, e)
			if err != nil {
				return err
			}
			return s.run(ctx, in, args)
		}})
	}
	sources = append(sources, source{fromContainer, func(ctx context.Context) error { return s.runContainer(ctx, args) }})
	if err := e.obtain(ctx, s.Server, from, sources); err != nil {
		return nil, err
	}
	return s, nil
}

// DSN is the address of a database for pgx; empty stands for "postgres".
func (s *PostgresServer) DSN(database string) string {
	if database == "" {
		database = "postgres"
	}
	if s.external != nil {
		u := *s.external
		u.Path = "/" + database
		return u.String()
	}
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(s.User, s.Password),
		Host: s.Addr, Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Exec runs statements one by one on one connection to database, as the
// administrator.
func (s *PostgresServer) Exec(ctx context.Context, database string, statements ...string) error {
	conn, err := pgx.Connect(ctx, s.DSN(database))
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL on %s: %w", s.Addr, err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, q := range statements {
		if _, err := conn.Exec(ctx, q); err != nil {
			return fmt.Errorf("run %q on PostgreSQL: %w", q, err)
		}
	}
	return nil
}

func (s *PostgresServer) version(ctx context.Context, _ *Server) (string, error) {
	conn, err := pgx.Connect(ctx, s.DSN(""))
	if err != nil {
		return "", fmt.Errorf("connect to PostgreSQL on %s: %w", s.Addr, err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var v string
	if err := conn.QueryRow(ctx, "SELECT current_setting('server_version')").Scan(&v); err != nil {
		return "", fmt.Errorf("ask PostgreSQL for its version: %w", err)
	}
	v, _, _ = strings.Cut(v, " ") // "15.18 (Debian 15.18-0+deb12u1)"
	return v, nil
}

func (s *PostgresServer) connect(ctx context.Context) error {
	const name = postgresAddress
	text := os.Getenv(name)
	if text == "" {
		return fmt.Errorf("%w: %s is not set", errNotHere, name)
	}
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") || u.Port() == "" {
		return fmt.Errorf("read %s: write postgres://user:password@host:port/postgres", name)
	}
	s.external = u
	s.User = u.User.Username()
	s.Password, _ = u.User.Password()
	s.Host, s.Addr = u.Hostname(), u.Host
	if s.Port, err = strconv.Atoi(u.Port()); err != nil {
		return fmt.Errorf("read the port in %s: %w", name, err)
	}
	if s.Version, err = s.version(ctx, s.Server); err != nil {
		return err
	}
	if major := majorVersion(s.Version); major < oldestPostgres {
		return fmt.Errorf("use the server of %s: it is PostgreSQL %d, older than %d", name, major, oldestPostgres)
	}
	return nil
}

// postgresOnMachine looks for the newest PostgreSQL that somebody installed.
func postgresOnMachine(ctx context.Context, _ *Env) (installation, error) {
	candidates, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return installation{}, fmt.Errorf("look for PostgreSQL: %w", err)
	}
	slices.SortFunc(candidates, func(a, b string) int {
		return majorVersion(filepath.Base(filepath.Dir(filepath.Dir(b)))) - majorVersion(filepath.Base(filepath.Dir(filepath.Dir(a))))
	})
	if path, ok := lookProgram("postgres"); ok {
		candidates = append(candidates, path)
	}
	for _, path := range candidates {
		out, err := exec.CommandContext(ctx, path, "--version").Output()
		if err != nil {
			continue
		}
		if majorVersion(string(out)) < oldestPostgres {
			continue
		}
		return installation{server: program{path: path}}, nil
	}
	return installation{}, fmt.Errorf("%w: no postgres of version %d or later on PATH or in /usr/lib/postgresql", errNotHere, oldestPostgres)
}

var firstNumber = regexp.MustCompile(`\d+`)

// majorVersion is the first number of a version text, 0 without one.
func majorVersion(text string) int {
	n, err := strconv.Atoi(firstNumber.FindString(text))
	if err != nil {
		return 0
	}
	return n
}

// postgresInPackages unpacks PostgreSQL into the cache, unless it is there.
func postgresInPackages(ctx context.Context, e *Env) (installation, error) {
	r := recipe{
		kind: KindPostgres, packages: []string{"postgresql"},
		skip: []string{"libllvm"}, // compiles queries; we switch that off
	}
	find := func(u unpacked) (program, error) {
		found, err := filepath.Glob(filepath.Join(u.root, "usr/lib/postgresql/*/bin/postgres"))
		if err != nil || len(found) == 0 {
			return program{}, fmt.Errorf("find postgres below %s: the packages do not hold it", u.root)
		}
		path, err := filepath.Rel(u.root, found[len(found)-1])
		if err != nil {
			return program{}, fmt.Errorf("find postgres below %s: %w", u.root, err)
		}
		return u.program(path)
	}
	u, err := e.fetch(ctx, r, func(u unpacked) error {
		p, err := find(u)
		if err != nil {
			return err
		}
		out, err := p.command("--version").CombinedOutput()
		if err != nil {
			return fmt.Errorf("run the unpacked postgres: %w: %s", err, strings.TrimSpace(string(out)))
		}
		if major := majorVersion(string(out)); major < oldestPostgres {
			return fmt.Errorf("use PostgreSQL of Debian %s: it is version %d, older than %d", u.release, major, oldestPostgres)
		}
		return nil
	})
	if err != nil {
		return installation{}, err
	}
	p, err := find(u)
	if err != nil {
		return installation{}, err
	}
	return installation{server: p, root: u.root}, nil
}

// run makes a cluster and starts the server of an installation on it.
//
// Text sorts by ICU's rules for English: like most clusters in use, and
// unlike the order of bytes, so that code which confuses the two is found.
func (s *PostgresServer) run(ctx context.Context, in installation, args []string) error {
	dir, err := s.env.newServerDir("pg")
	if err != nil {
		return err
	}
	secret := filepath.Join(dir, "pw")
	if err := s.env.writeFile(secret, s.Password+"\n"); err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	if err := once(ctx, s.env, in.sibling("initdb"), dir, "",
		"--pgdata="+data, "--username="+s.User, "--pwfile="+secret, "--auth=scram-sha-256",
		"--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US", "--no-sync",
	); err != nil {
		return fmt.Errorf("prepare a data folder for PostgreSQL: %w", err)
	}
	if err := os.Remove(secret); err != nil {
		return fmt.Errorf("remove the password file: %w", err)
	}
	l := newLocal(KindPostgres, in.server, s.env.user, dir)
	l.stopSig = syscall.SIGINT   // "fast": ends sessions, writes a checkpoint
	l.quickSig = syscall.SIGQUIT // "immediate": unlike a kill it frees its shared memory
	l.args = func(port int) []string {
		return []string{
			"-D", data, "-p", strconv.Itoa(port),
			"-c", "listen_addresses=127.0.0.1",
			"-c", "unix_socket_directories=" + dir,
			"-c", "fsync=on",
			"-c", "jit=off",
			"-c", "max_connections=100",
			"-c", "shared_buffers=64MB",
			"-c", "timezone=UTC",
		}
	}
	s.engine, s.dir = l, dir
	return s.begin(ctx, args)
}
