package testenv

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

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
