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
	"strings"
)

// ClickHouse itself is in no package registry that a test may use; its engine
// is, as a library. The file is pinned by its content.
const (
	clickhousePackage = "@chdb/lib-linux-x64-gnu@26.7.3-stable.1"
	clickhouseFile    = "chdb-lib-linux-x64-gnu-26.7.3-stable.1.tgz"
	clickhouseSHA256  = "c0d32b129e988f2b9a9a31c9141aecf5e1e2453f9a079efc4d36ab8e3f92b2ad"
	clickhouseTree    = "clickhouse-26.7.3" // in the cache
	clickhouseLibrary = "libchdb.so"
	clickhouseEdge    = "clickhouse-edge"
	// clickhouseArchive names a file with the library, for machines without npm.
	clickhouseArchive = "CDC_TEST_CLICKHOUSE_ARCHIVE"
)

// clickhouseFromNPM unpacks the engine into the cache and builds its edge.
func clickhouseFromNPM(ctx context.Context, e *Env) (installation, error) {
	if runtime.GOARCH != "amd64" || runtime.GOOS != "linux" {
		return installation{}, fmt.Errorf("%w: the engine is there for Linux on amd64 only", errNotHere)
	}
	npm, err := exec.LookPath("npm")
	if err != nil && !stamped(filepath.Join(e.cache, clickhouseTree)) {
		return installation{}, fmt.Errorf("%w: the engine is not in the cache and there is no npm on PATH", errNotHere)
	}
	dir, err := e.cached(ctx, clickhouseTree, "the ClickHouse engine (npm)", func(dir string) (string, error) {
		cache := filepath.Join(dir, "npm")
		// pack downloads and runs no script of the package.
		if err := run(ctx, npm, "pack", clickhousePackage, "--loglevel=error", "--ignore-scripts", "--fetch-retries=0",
			"--pack-destination", dir, "--cache", cache); err != nil {
			return "", err
		}
		file := filepath.Join(dir, clickhouseFile)
		if err := checkSum(file, clickhouseSHA256); err != nil {
			return "", err
		}
		err := unpackLibrary(ctx, file, dir)
		return clickhousePackage, errors.Join(err, os.Remove(file), os.RemoveAll(cache))
	})
	if err != nil {
		return installation{}, fmt.Errorf("%w: %w", errUnavailable, err)
	}
	return e.withEdge(ctx, dir)
}

// clickhouseFromArchive takes the engine from the file that the environment
// names: the npm package, another archive with libchdb.so in it, or the
// library itself.
func clickhouseFromArchive(ctx context.Context, e *Env) (installation, error) {
	file := os.Getenv(clickhouseArchive)
	if file == "" {
		return installation{}, fmt.Errorf("%w: %s is not set", errNotHere, clickhouseArchive)
	}
	info, err := os.Stat(file)
	if err != nil {
		return installation{}, fmt.Errorf("use the file of %s: %w", clickhouseArchive, err)
	}
	id := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", file, info.Size(), info.ModTime().UnixNano()))
	name := "clickhouse-archive-" + hex.EncodeToString(id[:8])
	dir, err := e.cached(ctx, name, "the ClickHouse engine of "+file, func(dir string) (string, error) {
		if strings.HasSuffix(file, ".so") {
			return file, run(ctx, "cp", file, filepath.Join(dir, clickhouseLibrary))
		}
		return file, unpackLibrary(ctx, file, dir)
	})
	if err != nil {
		return installation{}, fmt.Errorf("use the file of %s: %w", clickhouseArchive, err)
	}
	return e.withEdge(ctx, dir)
}

// unpackLibrary puts the archive's libchdb.so into dir, wherever it lies in it.
func unpackLibrary(ctx context.Context, archive, dir string) error {
	if err := run(ctx, "tar", "-xf", archive, "--no-same-owner", "--no-anchored", "-C", dir,
		"--transform", `s,.*/,,`, clickhouseLibrary); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, clickhouseLibrary)); err != nil {
		return fmt.Errorf("find the engine in %s: %w", archive, err)
	}
	return nil
}

func checkSum(file, want string) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("open a downloaded package: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return fmt.Errorf("read %s: %w", filepath.Base(file), err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		return fmt.Errorf("the package %s has SHA-256 %s, not %s: it was replaced, do not use it", filepath.Base(file), got, want)
	}
	return nil
}

// withEdge builds the edge of this very source next to the engines; an
// unchanged one is not built again. The edge is a program of its own because
// the engine opens one folder per process and must be killed alone.
func (e *Env) withEdge(ctx context.Context, root string) (installation, error) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		return installation{}, fmt.Errorf("%w: there is no go on PATH to build the engine's edge", errNotHere)
	}
	unlock, err := e.lockCache(ctx, clickhouseEdge)
	if err != nil {
		return installation{}, err
	}
	defer unlock()
	path := filepath.Join(e.cache, "tools", clickhouseEdge)
	if err := makeOpenDir(filepath.Dir(path)); err != nil {
		return installation{}, fmt.Errorf("make a folder for the engine's edge: %w", err)
	}
	done := e.step("build the edge of ClickHouse")
	if err := run(ctx, "env", "CGO_ENABLED=0", goTool, "build", "-buildvcs=false", "-trimpath", "-o", path,
		"github.com/etlsandbox/cdc/internal/testenv/cmd/"+clickhouseEdge); err != nil {
		done("failed")
		return installation{}, err
	}
	done("done")
	return installation{server: program{path: path}, root: root}, nil
}
