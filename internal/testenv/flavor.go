package testenv

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// flavor is what differs between the servers of the MySQL family.
type flavor struct {
	kind    string
	family  string        // "mariadb" or "mysql"
	env     string        // variable with an address
	finders []namedFinder // in the order in which they are tried
	// prepare fills an empty data folder and makes the users.
	prepare func(ctx context.Context, e *Env, in installation, dir string, base []string, password string) error
	args    []string
	image   string // empty: no container
}

// commonArgs are set on all: what the capture of changes needs, what keeps an
// acknowledged commit through a kill, and a small footprint.
var commonArgs = []string{
	"--bind-address=127.0.0.1",
	"--server-id=1",
	"--log-bin=binlog",
	"--binlog-format=ROW",
	"--binlog-row-image=FULL",
	"--sync-binlog=1",
	"--innodb-flush-log-at-trx-commit=1",
	"--innodb-buffer-pool-size=64M",
	"--performance-schema=OFF",
	"--skip-name-resolve",
	"--character-set-server=utf8mb4",
	"--max-allowed-packet=64M",
}

// mysqlArgs are further ones of MySQL; 5.7 does not know the loose ones.
var mysqlArgs = append([]string{
	"--gtid-mode=ON",
	"--enforce-gtid-consistency=ON",
	"--loose-binlog-row-metadata=FULL",
	"--loose-mysqlx=OFF",
}, commonArgs...)

var mariadbFlavor = flavor{
	kind:   KindMariaDB,
	family: KindMariaDB,
	env:    "CDC_TEST_MARIADB",
	finders: []namedFinder{
		{fromMachine, onMachine(isMariaDB, "mariadbd", "mysqld")},
		{fromPackages, inPackages("mariadbd", recipe{kind: KindMariaDB, packages: []string{"mariadb-server-core"}})},
	},
	prepare: prepareMariaDB,
	args: append([]string{
		"--binlog-row-metadata=FULL",
		"--gtid-strict-mode=ON",
		"--gtid-domain-id=0",
		"--log-slave-updates=ON",
		"--binlog-annotate-row-events=ON",
		"--innodb-log-file-size=64M",
	}, commonArgs...),
	image: "mariadb:10.11",
}

var mysqlFlavor = flavor{
	kind:   KindMySQL,
	family: KindMySQL,
	env:    "CDC_TEST_MYSQL",
	finders: []namedFinder{
		{fromMachine, onMachine(func(version string) bool { return !isMariaDB(version) }, "mysqld")},
		{fromPackages, inPackages("mysqld", recipe{
			kind: KindMySQL, release: sid, packages: []string{"mysql-server-core"},
			skip: []string{"mysql-client"},
		})},
		{fromNPM, mysql57FromNPM}, // on a day when sid is broken
	},
	prepare: prepareMySQL,
	args:    mysqlArgs,
	image:   "mysql:8.4",
}

func isMariaDB(version string) bool { return strings.Contains(version, "MariaDB") }

// onMachine looks for a server that somebody installed, under one of names,
// whose `--version` owns accepts.
func onMachine(owns func(version string) bool, names ...string) finder {
	return func(ctx context.Context, _ *Env) (installation, error) {
		for _, name := range names {
			path, ok := lookProgram(name, "/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/usr/local/mysql/bin")
			if !ok {
				continue
			}
			out, err := exec.CommandContext(ctx, path, "--version").Output()
			if err == nil && owns(string(out)) {
				return installation{server: program{path: path}}, nil
			}
		}
		return installation{}, fmt.Errorf("%w: no %s on PATH or in /usr/sbin", errNotHere, strings.Join(names, " or "))
	}
}

// inPackages unpacks a server into the cache, unless it is there.
func inPackages(name string, r recipe) finder {
	path := "usr/sbin/" + name
	return func(ctx context.Context, e *Env) (installation, error) {
		u, err := e.fetch(ctx, r, func(u unpacked) error {
			p, err := u.program(path)
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
		p, err := u.program(path)
		if err != nil {
			return installation{}, err
		}
		return installation{server: p, root: u.root}, nil
	}
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
