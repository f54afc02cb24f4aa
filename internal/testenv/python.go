package testenv

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// Python returns the interpreter of an environment in the cache that holds the packages ("name==version") from PyPI,
// fetched with pip. leg is what CDC_REQUIRE and the report call the tests that need it; without Python 3, or PyPI, they
// are skipped.
func Python(t TB, leg string, packages ...string) string {
	t.Helper()
	s, env := open(t)
	python, err := env.python(s.ctx, leg, packages)
	python = must(t, env, leg, python, err)
	if err := env.reportLine(leg, strings.Join(packages, " "), "pypi", 0); err != nil {
		t.Fatalf("testenv: %v", err)
	}
	return python
}

func (e *Env) python(ctx context.Context, leg string, packages []string) (string, error) {
	missing := func(err error) error { return &MissingError{Kind: leg, Tried: []error{err}} }
	system, err := exec.LookPath("python3")
	if err != nil {
		return "", missing(err)
	}
	sum := sha256.Sum256([]byte(strings.Join(packages, "\n")))
	dir, err := e.cached(ctx, "python-"+leg+"-"+hex.EncodeToString(sum[:4]), strings.Join(packages, ", "), func(dir string) (string, error) {
		for _, command := range [][]string{
			{system, "-m", "venv", dir},
			append([]string{filepath.Join(dir, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check"}, packages...),
		} {
			if out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil {
				return "", fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, out)
			}
		}
		return strings.Join(packages, " "), nil
	})
	if err != nil {
		return "", missing(err)
	}
	return filepath.Join(dir, "bin", "python"), nil
}
