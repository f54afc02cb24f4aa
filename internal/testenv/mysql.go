package testenv

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

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

// flavor is what differs between MariaDB and MySQL.
type flavor struct {
	kind   string
	env    string // variable with an address
	recipe recipe
	// programs are names to look for on the machine.
	programs []string
	// owns tells by `--version` whether a program is of this flavor.
	owns func(version string) bool
	// prepare fills an empty data folder and makes the users.
	prepare func(ctx context.Context, e *Env, in installation, dir string, base []string, password string) error
	args    []string
	image   string
}

func isMariaDB(version string) bool { return strings.Contains(version, "MariaDB") }

// commonArgs are set on both flavors: what the capture of changes needs, what
// keeps an acknowledged commit through a kill, and a small footprint.
var commonArgs = []string{
	"--bind-address=127.0.0.1",
	"--server-id=1",
	"--log-bin=binlog",
	"--binlog-format=ROW",
	"--binlog-row-image=FULL",
	"--binlog-row-metadata=FULL",
	"--sync-binlog=1",
	"--innodb-flush-log-at-trx-commit=1",
	"--innodb-buffer-pool-size=64M",
	"--performance-schema=OFF",
	"--skip-name-resolve",
	"--character-set-server=utf8mb4",
	"--max-allowed-packet=64M",
}

var mariadbFlavor = flavor{
	kind:     KindMariaDB,
	env:      "CDC_TEST_MARIADB",
	recipe:   recipe{kind: KindMariaDB, packages: []string{"mariadb-server-core"}},
	programs: []string{"mariadbd", "mysqld"},
	owns:     isMariaDB,
	prepare:  prepareMariaDB,
	args: append([]string{
		"--gtid-strict-mode=ON",
		"--gtid-domain-id=0",
		"--log-slave-updates=ON",
		"--binlog-annotate-row-events=ON",
		"--innodb-log-file-size=64M",
	}, commonArgs...),
	image: "mariadb:10.11",
}

var mysqlFlavor = flavor{
	kind: KindMySQL,
	env:  "CDC_TEST_MYSQL",
	recipe: recipe{
		kind: KindMySQL, release: sid, packages: []string{"mysql-server-core"},
		skip: []string{"mysql-client"},
	},
	programs: []string{"mysqld"},
	owns:     func(version string) bool { return !isMariaDB(version) },
	prepare:  prepareMySQL,
	args: append([]string{
		"--gtid-mode=ON",
		"--enforce-gtid-consistency=ON",
		"--mysqlx=OFF",
	}, commonArgs...),
	image: "mysql:8.4",
}

func (e *Env) startMySQL(ctx context.Context, f flavor, from sourceRule, extra []string) (*MySQLServer, error) {
	s := &MySQLServer{
		Server: &Server{Kind: f.kind, env: e},
		Flavor: f.kind, User: adminUser, Password: e.password,
	}
	s.alive = s.version
	if err := e.obtain(ctx, s.Server, from, []source{
		{fromEnvironment, func(ctx context.Context) error { return s.connect(ctx, f) }},
		{fromMachine, func(ctx context.Context) error { return s.runFound(ctx, f, f.onMachine, extra) }},
		{fromPackages, func(ctx context.Context) error { return s.runFound(ctx, f, f.inPackages, extra) }},
		{fromContainer, func(ctx context.Context) error { return s.runContainer(ctx, f, extra) }},
	}); err != nil {
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

// onMachine looks for a server that somebody installed.
func (f flavor) onMachine(ctx context.Context, _ *Env) (installation, error) {
	for _, name := range f.programs {
		path, ok := lookProgram(name, "/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/usr/local/mysql/bin")
		if !ok {
			continue
		}
		out, err := exec.CommandContext(ctx, path, "--version").Output()
		if err != nil || !f.owns(string(out)) {
			continue
		}
		return installation{server: program{path: path}}, nil
	}
	return installation{}, fmt.Errorf("%w: no %s on PATH or in /usr/sbin", errNotHere, strings.Join(f.programs, " or "))
}

// inPackages unpacks a server into the cache, unless it is there.
func (f flavor) inPackages(ctx context.Context, e *Env) (installation, error) {
	const server = "usr/sbin/"
	name := f.programs[0]
	u, err := e.fetch(ctx, f.recipe, func(u unpacked) error {
		p, err := u.program(server + name)
		if err != nil {
			return err
		}
		out, err := p.command("--version").CombinedOutput()
		if err != nil {
			return fmt.Errorf("run the unpacked %s: %w: %s", name, err, strings.TrimSpace(string(out)))
		}
		return nil
	})
	if err != nil {
		return installation{}, err
	}
	p, err := u.program(server + name)
	if err != nil {
		return installation{}, err
	}
	return installation{server: p, root: u.root}, nil
}

func (s *MySQLServer) runFound(ctx context.Context, f flavor, find finder, extra []string) error {
	in, err := find(ctx, s.env)
	if err != nil {
		return err
	}
	return s.run(ctx, f, in, extra)
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
	if f.kind == KindMySQL {
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

// users makes the administrator and gives root a password, too.
func users(password string) []string {
	return []string{
		"CREATE USER '" + adminUser + "'@'%' IDENTIFIED BY '" + password + "';",
		"GRANT ALL PRIVILEGES ON *.* TO '" + adminUser + "'@'%' WITH GRANT OPTION;",
		"ALTER USER 'root'@'localhost' IDENTIFIED BY '" + password + "';",
	}
}

// prepareMariaDB does what mariadb-install-db does, which is not part of the
// server's package: it feeds the system tables' SQL to a bootstrap server.
func prepareMariaDB(ctx context.Context, e *Env, in installation, dir string, base []string, password string) error {
	shares := []string{filepath.Join(in.root, "usr/share/mysql"), filepath.Join(in.root, "usr/share/mariadb")}
	if in.root == "" {
		prefix := filepath.Dir(filepath.Dir(in.server.path))
		shares = append(shares, filepath.Join(prefix, "share/mysql"), filepath.Join(prefix, "share/mariadb"))
	}
	script := []string{
		"CREATE DATABASE IF NOT EXISTS mysql;", "USE mysql;",
		"SET @auth_root_socket=NULL;", "SET @skip_auth_anonymous=1;",
	}
	// The files were renamed in 11.0.
	for _, names := range [][]string{
		{"mysql_system_tables.sql", "mariadb_system_tables.sql"},
		{"mysql_system_tables_data.sql", "mariadb_system_tables_data.sql"},
	} {
		text, err := readFirst(shares, names)
		if err != nil {
			return err
		}
		script = append(script, text)
	}
	// A bootstrap server has no privilege tables until told to read them.
	script = append(script, "FLUSH PRIVILEGES;")
	script = append(script, users(password)...)
	file := filepath.Join(dir, "bootstrap.sql")
	if err := e.writeFile(file, strings.Join(script, "\n")+"\n"); err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	if err := e.user.own(data); err != nil {
		return err
	}
	args := append(append([]string{}, base...), "--bootstrap", "--innodb-log-file-size=64M", "--log-warnings=0")
	if err := once(ctx, e, in.server, dir, file, args...); err != nil {
		return err
	}
	return os.Remove(file)
}

// prepareMySQL has the server make its own data folder.
func prepareMySQL(ctx context.Context, e *Env, in installation, dir string, base []string, password string) error {
	file := filepath.Join(dir, "init.sql")
	if err := e.writeFile(file, strings.Join(users(password), "\n")+"\n"); err != nil {
		return err
	}
	args := append(append([]string{}, base...), "--initialize-insecure", "--init-file="+file)
	if err := once(ctx, e, in.server, dir, "", args...); err != nil {
		return err
	}
	return os.Remove(file)
}

// readFirst reads the first of names that one of dirs holds.
func readFirst(dirs, names []string) (string, error) {
	for _, d := range dirs {
		for _, n := range names {
			if text, err := os.ReadFile(filepath.Join(d, n)); err == nil {
				return string(text), nil
			}
		}
	}
	return "", fmt.Errorf("find %s: not in %s", strings.Join(names, " or "), strings.Join(dirs, ", "))
}

// lookProgram finds a program on PATH or in dirs.
func lookProgram(name string, dirs ...string) (string, bool) {
	if path, err := exec.LookPath(name); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			return real, true
		}
	}
	for _, d := range dirs {
		path := filepath.Join(d, name)
		if info, err := os.Stat(path); err == nil && !info.IsDir() && info.Mode().Perm()&0o111 != 0 {
			return path, true
		}
	}
	return "", false
}
