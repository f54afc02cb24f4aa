package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// kcatProgram is the variable that names the program.
const kcatProgram = "CDC_TEST_KCAT"

// kcatFinders are the sources of the program, in their order.
var kcatFinders = []namedFinder{
	{fromEnvironment, kcatOfEnvironment},
	{fromMachine, kcatOnMachine},
	{fromPackages, kcatInPackages},
}

// Kcat returns what makes commands of kcat, a client of Kafka by others.
func Kcat(t TB) func(args ...string) *exec.Cmd {
	t.Helper()
	s, env := open(t)
	p, version, from, err := env.kcat(s.ctx)
	p = must(t, env, KindKcat, p, err)
	if err := env.reportLine(KindKcat, version, from, 0); err != nil {
		t.Fatalf("testenv: %v", err)
	}
	return p.command
}

func (e *Env) kcat(ctx context.Context) (p program, version, from string, err error) {
	missing := &MissingError{Kind: KindKcat}
	for _, f := range kcatFinders {
		in, err := f.find(ctx, e)
		if err == nil {
			version, err = kcatVersion(in.server)
			return in.server, version, f.from, err
		}
		if !errors.Is(err, errNotHere) && !errors.Is(err, errUnavailable) {
			return program{}, "", "", fmt.Errorf("look for kcat: %w", err)
		}
		missing.Tried = append(missing.Tried, fmt.Errorf("%s: %w", f.from, err))
	}
	return program{}, "", "", missing
}

// kcatVersion reads "Version 1.7.1 (JSON, ...)".
func kcatVersion(p program) (string, error) {
	out, err := p.command("-V").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("run %s -V: %w: %s", p.path, err, strings.TrimSpace(string(out)))
	}
	_, rest, _ := strings.Cut(string(out), "Version ")
	version, _, _ := strings.Cut(rest, " ")
	return version, nil
}

func kcatOfEnvironment(context.Context, *Env) (installation, error) {
	path := os.Getenv(kcatProgram)
	if path == "" {
		return installation{}, fmt.Errorf("%w: %s is not set", errNotHere, kcatProgram)
	}
	return installation{server: program{path: path}}, nil
}

func kcatOnMachine(context.Context, *Env) (installation, error) {
	path, err := exec.LookPath("kcat")
	if err != nil {
		return installation{}, fmt.Errorf("%w: %w", errNotHere, err)
	}
	return installation{server: program{path: path}}, nil
}

// kcatInPackages unpacks kcat into the cache, unless it is there.
func kcatInPackages(ctx context.Context, e *Env) (installation, error) {
	find := func(u unpacked) (program, error) { return u.program("usr/bin/kcat") }
	u, err := e.fetch(ctx, recipe{kind: KindKcat, packages: []string{"kcat"}}, func(u unpacked) error {
		p, err := find(u)
		if err == nil {
			_, err = kcatVersion(p)
		}
		return err
	})
	if err != nil {
		return installation{}, err
	}
	p, err := find(u)
	return installation{server: p, root: u.root}, err
}
