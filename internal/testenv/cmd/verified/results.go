package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// outcome is how a test ended; notRun is one that is not in the input.
type outcome string

const (
	passed  outcome = "pass"
	failed  outcome = "fail"
	skipped outcome = "skip"
	notRun  outcome = "not run"
)

// results are the outcomes by package (below the module) and test name. names keeps the order of the input.
type results struct {
	of    map[string]outcome
	names []string
}

func (r results) get(pkg, test string) outcome {
	if o, ok := r.of[pkg+" "+test]; ok {
		return o
	}
	return notRun
}

// below lists the direct subtests of a test, in the order in which they began.
func (r results) below(pkg, test string) []string {
	var subs []string
	for _, name := range r.names {
		if sub, ok := strings.CutPrefix(name, pkg+" "+test+"/"); ok && !strings.Contains(sub, "/") {
			subs = append(subs, sub)
		}
	}
	return subs
}

// readResults reads the events of `go test -json`. Lines that are none, as those of a build that failed, are errors.
func readResults(in io.Reader) (results, error) {
	r := results{of: map[string]outcome{}}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var ev struct{ Action, Package, Test string }
		if err := json.Unmarshal(lines.Bytes(), &ev); err != nil {
			return r, fmt.Errorf("read the events of go test -json: %w in %q", err, lines.Text())
		}
		if ev.Test == "" {
			continue
		}
		name := strings.TrimPrefix(ev.Package, "github.com/etlsandbox/cdc/") + " " + ev.Test
		switch ev.Action {
		case "run":
			r.names = append(r.names, name)
		case "pass", "fail", "skip":
			r.of[name] = outcome(ev.Action)
		}
	}
	if err := lines.Err(); err != nil {
		return r, fmt.Errorf("read the events of go test -json: %w", err)
	}
	if len(r.of) == 0 {
		return r, errors.New("the input holds no result of a test")
	}
	return r, nil
}

// readServers lists "kind version (from source)" of the servers that the tests used.
func readServers(path string) ([]string, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || path == "" {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the report of servers: %w", err)
	}
	var used []string
	for line := range strings.Lines(string(b)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) < 3 {
			return nil, fmt.Errorf("read the report of servers %s: the line %q has %d fields, not 5", path, line, len(f))
		}
		if s := fmt.Sprintf("%s %s (from %s)", f[0], f[1], f[2]); !slices.Contains(used, s) {
			used = append(used, s)
		}
	}
	slices.Sort(used)
	return used, nil
}
