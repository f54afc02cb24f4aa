package testenv

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/go-sql-driver/mysql"
)

// adminUser is the administrator of every server that this package makes. It
// has all privileges, a password, and may come from any address.
const adminUser = "cdc_admin"

// MySQLServer is a MariaDB or MySQL server with a row-based binary log that
// holds full row images and full metadata.
type MySQLServer struct {
	*Server
	Flavor   string // "mariadb" or "mysql"
	User     string
	Password string
}

// MariaDB starts a MariaDB server; extra are added to its command line and
// win over the defaults.
func (e *Env) MariaDB(ctx context.Context, extra ...string) (*MySQLServer, error) {
	return e.startMySQL(ctx, mariadbFlavor, anySource, extra)
}

// MySQL starts a MySQL server, as MariaDB does.
func (e *Env) MySQL(ctx context.Context, extra ...string) (*MySQLServer, error) {
	return e.startMySQL(ctx, mysqlFlavor, anySource, extra)
}

// DSN is the data source name of a database for go-sql-driver/mysql, without
// parameters; database may be empty.
func (s *MySQLServer) DSN(database string) string {
	c := s.config()
	c.DBName = database
	return c.FormatDSN()
}

func (s *MySQLServer) config() *mysql.Config {
	c := mysql.NewConfig()
	c.Net, c.Addr = "tcp", s.Addr
	c.User, c.Passwd = s.User, s.Password
	return c
}

// Open returns a connection pool to a database (empty: none) as the
// administrator. The caller closes it.
func (s *MySQLServer) Open(database string) (*sql.DB, error) {
	c := s.config()
	c.DBName = database
	c.Logger = &mysql.NopLogger{} // the driver's own lines say nothing that its errors do not
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, fmt.Errorf("connect to %s on %s: %w", s.Kind, s.Addr, err)
	}
	return sql.OpenDB(connector), nil
}

// Exec runs statements one by one on one connection, as the administrator.
func (s *MySQLServer) Exec(ctx context.Context, statements ...string) error {
	db, err := s.Open("")
	if err != nil {
		return err
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect to %s on %s: %w", s.Kind, s.Addr, err)
	}
	defer conn.Close()
	for _, q := range statements {
		if _, err := conn.ExecContext(ctx, q); err != nil {
			return fmt.Errorf("run %q on %s: %w", q, s.Kind, err)
		}
	}
	return nil
}

func (s *MySQLServer) version(ctx context.Context, _ *Server) (string, error) {
	db, err := s.Open("")
	if err != nil {
		return "", err
	}
	defer db.Close()
	var v string
	if err := db.QueryRowContext(ctx, "SELECT VERSION()").Scan(&v); err != nil {
		return "", fmt.Errorf("ask %s on %s for its version: %w", s.Kind, s.Addr, err)
	}
	return v, nil
}

func (e *Env) startMySQL(ctx context.Context, f flavor, from sourceRule, extra []string) (*MySQLServer, error) {
	s := &MySQLServer{
		Server: &Server{Kind: f.kind, env: e},
		Flavor: f.family, User: adminUser, Password: e.password,
	}
	s.alive = s.version
	sources := []source{{fromEnvironment, func(ctx context.Context) error { return s.connect(ctx, f) }}}
	for _, finder := range f.finders {
		sources = append(sources, source{finder.from, func(ctx context.Context) error {
			in, err := finder.find(ctx, e)
			if err != nil {
				return err
			}
			return s.run(ctx, f, in, extra)
		}})
	}
	if f.image != "" {
		sources = append(sources, source{fromContainer, func(ctx context.Context) error { return s.runContainer(ctx, f, extra) }})
	}
	if err := e.obtain(ctx, s.Server, from, sources); err != nil {
		return nil, err
	}
	return s, nil
}

// connect takes the address of a running server from the environment.
func (s *MySQLServer) connect(ctx context.Context, f flavor) error {
	dsn := os.Getenv(f.env)
	if dsn == "" {
		return fmt.Errorf("%w: %s is not set", errNotHere, f.env)
	}
	c, err := mysql.ParseDSN(dsn)
	if err != nil {
		return fmt.Errorf("read %s: %w; write user:password@tcp(host:port)/", f.env, err)
	}
	host, port, err := net.SplitHostPort(c.Addr)
	if err != nil || c.Net != "tcp" {
		return fmt.Errorf("read %s: the address %q of network %q is not tcp(host:port)", f.env, c.Addr, c.Net)
	}
	s.User, s.Password = c.User, c.Passwd
	s.Addr, s.Host = c.Addr, host
	if s.Port, err = strconv.Atoi(port); err != nil {
		return fmt.Errorf("read the port in %s: %w", f.env, err)
	}
	s.Version, err = s.version(ctx, s.Server)
	return err
}

// run prepares a data folder and starts the server of an installation on it.
func (s *MySQLServer) run(ctx context.Context, f flavor, in installation, extra []string) error {
	dir, err := s.env.newServerDir(f.kind)
	if err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	base := []string{"--no-defaults", "--datadir=" + data, "--tmpdir=" + filepath.Join(dir, "tmp")}
	if in.root != "" {
		share := filepath.Join(in.root, "usr/share/mysql")
		base = append(base,
			"--basedir="+filepath.Join(in.root, "usr"),
			"--lc-messages-dir="+share,
			"--character-sets-dir="+filepath.Join(share, "charsets"),
			// MariaDB has its plugins elsewhere, in packages that we do not need.
			"--plugin-dir="+filepath.Join(in.root, "usr/lib/mysql/plugin"))
	}
	if f.family == KindMySQL {
		base = append(base, "--secure-file-priv=NULL") // its default folder does not exist here
	}
	if err := f.prepare(ctx, s.env, in, dir, base, s.Password); err != nil {
		return fmt.Errorf("prepare a data folder for %s: %w", f.kind, err)
	}
	l := newLocal(f.kind, in.server, s.env.user, dir)
	l.args = func(port int) []string {
		args := append([]string{}, base...)
		args = append(args, "--socket="+filepath.Join(dir, "s"), "--pid-file="+filepath.Join(dir, "pid"), "--port="+strconv.Itoa(port))
		return append(args, f.args...)
	}
	s.engine, s.dir = l, dir
	return s.begin(ctx, extra)
}
