package testenv

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	mssql "github.com/microsoft/go-mssqldb"

	"github.com/etlsandbox/cdc/internal/testenv/tds"
)

// sqlServerAddress is the variable with the address of a running server.
const sqlServerAddress = "CDC_TEST_SQLSERVER"

// SQLServerInstance is a real SQL Server, or the double of package tds over a PostgreSQL server.
type SQLServerInstance struct {
	*Server
	User     string
	Password string
	// CA is a file with the certificate that signed the double's own, PEM; empty for a server of the environment.
	// The certificate is for 127.0.0.1 and localhost.
	CA string
	// Double is nil for a server of the environment. It takes faults and tells what it was asked; Kill9, Stop and
	// Restart of the Server work on it as well.
	Double *tds.Server

	external *url.URL // the environment's address, else nil
}

// SQLServer connects to the environment's SQL Server, or starts the double over a PostgreSQL server of its own.
func (e *Env) SQLServer(ctx context.Context) (*SQLServerInstance, error) {
	return e.startSQLServer(ctx, anySource, func() (*PostgresServer, error) { return e.Postgres(ctx) })
}

// SQLServerOver is SQLServer, with the double over a PostgreSQL server that runs already.
func (e *Env) SQLServerOver(ctx context.Context, pg *PostgresServer) (*SQLServerInstance, error) {
	return e.startSQLServer(ctx, anySource, func() (*PostgresServer, error) { return pg, nil })
}

// startSQLServer starts the double over what postgres returns, unless the environment has a server.
func (e *Env) startSQLServer(ctx context.Context, rule sourceRule, postgres func() (*PostgresServer, error)) (*SQLServerInstance, error) {
	s := &SQLServerInstance{Server: &Server{Kind: KindSQLServer, env: e}, User: "sa", Password: e.password}
	s.alive = s.version
	if err := e.obtain(ctx, s.Server, rule, []source{
		{fromEnvironment, s.connect},
		{fromDouble, func(ctx context.Context) error {
			pg, err := postgres()
			if IsMissing(err) {
				return fmt.Errorf("%w: the double has no PostgreSQL to work on: %w", errNotHere, err)
			}
			if err != nil {
				return err
			}
			return s.runDouble(ctx, pg)
		}},
	}); err != nil {
		return nil, err
	}
	return s, nil
}

// DSN is the address of a database for go-mssqldb; empty stands for master. The double is reached without TLS.
func (s *SQLServerInstance) DSN(database string) string {
	u := url.URL{
		Scheme: "sqlserver", User: url.UserPassword(s.User, s.Password), Host: s.Addr,
		RawQuery: "encrypt=disable",
	}
	if s.external != nil {
		u = *s.external
	}
	q := u.Query()
	if database != "" {
		q.Set("database", database)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// Exec runs statements one by one in one session of a database.
func (s *SQLServerInstance) Exec(ctx context.Context, database string, statements ...string) error {
	connector, err := mssql.NewConnector(s.DSN(database))
	if err != nil {
		return fmt.Errorf("read the address of SQL Server: %w", err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect to SQL Server on %s: %w", s.Addr, err)
	}
	defer conn.Close()
	for _, q := range statements {
		if _, err := conn.ExecContext(ctx, q); err != nil {
			return fmt.Errorf("run %q on SQL Server: %w", q, err)
		}
	}
	return nil
}

func (s *SQLServerInstance) version(ctx context.Context, _ *Server) (string, error) {
	connector, err := mssql.NewConnector(s.DSN(""))
	if err != nil {
		return "", fmt.Errorf("read the address of SQL Server: %w", err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	var v string
	if err := db.QueryRowContext(ctx, "SELECT CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(128))").Scan(&v); err != nil {
		return "", fmt.Errorf("ask SQL Server on %s for its version: %w", s.Addr, err)
	}
	if s.external == nil {
		v += " (double)"
	}
	return v, nil
}

func (s *SQLServerInstance) connect(ctx context.Context) error {
	const name = sqlServerAddress
	text := os.Getenv(name)
	if text == "" {
		return fmt.Errorf("%w: %s is not set", errNotHere, name)
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "sqlserver" || u.Port() == "" || u.User == nil {
		return fmt.Errorf("read %s: write sqlserver://user:password@host:port?tls=verify-full&ca=FILE", name)
	}
	if u.RawQuery, err = driverTLS(u.Query()); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	s.external = u
	s.User = u.User.Username()
	s.Password, _ = u.User.Password()
	s.Host, s.Addr = u.Hostname(), u.Host
	if s.Port, err = strconv.Atoi(u.Port()); err != nil {
		return fmt.Errorf("read the port in %s: %w", name, err)
	}
	s.Version, err = s.version(ctx, s.Server)
	return err
}

// driverTLS says in the driver's words what tls and ca of an address mean, as the product's configuration has them.
func driverTLS(q url.Values) (string, error) {
	if ca := q.Get("ca"); ca != "" {
		q.Set("certificate", ca)
	}
	switch mode := q.Get("tls"); mode {
	case "": // what the address says of encryption itself
	case "disable":
		q.Set("encrypt", "disable")
	case "require":
		q.Set("encrypt", "true")
		q.Set("TrustServerCertificate", "true")
	case "verify-full":
		q.Set("encrypt", "true")
	default:
		return "", fmt.Errorf("tls=%s is not disable, require or verify-full", mode)
	}
	q.Del("tls")
	q.Del("ca")
	return q.Encode(), nil
}

// runDouble starts the double over a database of its own on pg.
func (s *SQLServerInstance) runDouble(ctx context.Context, pg *PostgresServer) error {
	dir, err := s.env.newServerDir("tds")
	if err != nil {
		return err
	}
	certificate, ca, err := selfSigned(dir)
	if err != nil {
		return err
	}
	database := "double_" + strings.TrimPrefix(filepath.Base(dir), "tds") + "_" + strconv.Itoa(os.Getpid())
	if err := pg.Exec(ctx, "", "CREATE DATABASE "+database+" TEMPLATE template0"); err != nil {
		return err
	}
	s.CA, s.dir = ca, dir
	s.engine = &doubleEngine{s: s, options: tds.Options{
		Postgres: pg.DSN(database), User: s.User, Password: s.Password, TLS: certificate,
	}}
	s.remove = func() error {
		ctx, cancel := context.WithTimeout(context.Background(), databaseTimeout)
		defer cancel()
		_ = pg.Exec(ctx, "", "DROP DATABASE IF EXISTS "+database+" WITH (FORCE)") // PostgreSQL may be gone already
		return nil
	}
	return s.begin(ctx, nil)
}

// doubleEngine runs the double inside of this process.
type doubleEngine struct {
	s       *SQLServerInstance
	options tds.Options

	mu      sync.Mutex
	running bool
	failed  error
}

func (d *doubleEngine) run(port int, extra []string) error {
	if len(extra) > 0 {
		return errors.New("start the SQL Server double: it takes no arguments")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.s.Double != nil && d.s.Double.Addr() == net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) {
		d.failed = d.s.Double.Restart()
	} else {
		d.options.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
		defer cancel()
		d.s.Double, d.failed = tds.Start(ctx, d.options)
	}
	d.running = d.failed == nil
	if d.failed != nil && !errors.Is(d.failed, syscall.EADDRINUSE) {
		return d.failed
	}
	return nil // a port that was taken is told by state
}

func (d *doubleEngine) signal(sig syscall.Signal) error {
	switch sig {
	case syscall.SIGCONT:
		return nil
	case syscall.SIGKILL:
		return d.end(context.Background(), true)
	}
	return fmt.Errorf("send %v to the SQL Server double: it is not a process; put a Proxy before it", sig)
}

func (d *doubleEngine) end(context.Context, bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.s.Double != nil {
		d.s.Double.Crash()
	}
	d.running = false
	return nil
}

func (d *doubleEngine) state() (bool, string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed != nil {
		return true, d.failed.Error()
	}
	return !d.running, ""
}
