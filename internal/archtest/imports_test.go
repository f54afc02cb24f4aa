package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/etlsandbox/cdc/"

// layers, lowest first. A package may import lower layers and its own tree.
// The first prefix that matches decides, so longer ones come first.
var layers = []struct {
	prefix string
	layer  int
}{
	{"schemas", 0},
	{"statestore", 1},
	{"joiner", 1},
	{"sinks", 1},
	{"cdc", 1},
	{"internal/pipeline", 3},
	{"internal", 2},
	{"cmd", 4},
	{"examples", 1}, // other people's programs: they may share the vocabulary, no more
}

// neighbours are the imports within a layer that are meant.
var neighbours = map[string][]string{}

// reserved lists third-party code that only some trees may import.
var reserved = []struct {
	path    string // prefix of import paths
	trees   []string
	because string
}{
	{"github.com/twmb/franz-go", []string{"internal/stream", "internal/testenv", "cmd", "examples"}, "changes travel in streams only, and internal/stream is the one that speaks Kafka"},
	{"github.com/cockroachdb/pebble", []string{"statestore"}, "statestore is the one that knows Pebble"},
	{"github.com/go-mysql-org/go-mysql", []string{"cdc", "cmd"}, "capture is the one that reads a binary log"},
	{"github.com/jackc/pgx", []string{"sinks/postgres", "internal", "cmd"}, "a driver belongs to its sink"},
	{"github.com/prometheus/client_golang", []string{"internal", "cmd"}, "metrics belong to the stages, not to the engines"},
	{"github.com/spf13/cobra", []string{"cmd"}, "only commands read flags"},
	{"github.com/spf13/pflag", []string{"cmd"}, "only commands read flags"},
	{"gopkg.in/yaml", []string{"internal/config", "cmd"}, "configuration is read in one place"},
	{"testing", []string{"sinks/sinktest"}, "package testing has no place in a program; take a small interface instead"},
}

// pure lists what a tree must not reach, not even through others.
var pure = []struct {
	tree    string
	never   []string
	because string
}{
	{"schemas/change", []string{"*"}, "the vocabulary has the standard library only"},
	{"joiner", []string{
		"database/sql", // log and net come with the parser of SQL: checkPureEngine sees to the engine itself
		"github.com/go-sql-driver", "github.com/go-mysql-org", "github.com/jackc", "github.com/twmb", "github.com/cockroachdb", "github.com/prometheus",
	}, "the engine has no driver, broker, store, log or metrics"},
	{"schemas", []string{"github.com/go-sql-driver", "github.com/go-mysql-org", "github.com/jackc", "github.com/twmb", "github.com/cockroachdb"}, "schemas describe; they reach no server"},
}

// pkg is what `go list` says about one package.
type pkg struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Deps       []string
	Module     *struct{ Main bool }
}

func (p pkg) name() string { return strings.TrimPrefix(p.ImportPath, module) }

// listPackages lists the module's packages and all that they are built from.
func listPackages(t *testing.T) map[string]pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Standard,Imports,Deps,Module", "./...")
	cmd.Dir = "../.."
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, said.String())
	}
	all := map[string]pkg{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("read what go list says: %v", err)
		}
		all[p.ImportPath] = p
	}
}

func within(name, tree string) bool {
	return name == tree || strings.HasPrefix(name, tree+"/")
}

// under reports whether an import path lies below a prefix, also where that
// ends within a path element (gopkg.in/yaml.v3).
func under(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/' || rest[0] == '.')
}

func layerOf(name string) int {
	for _, l := range layers {
		if within(name, l.prefix) {
			return l.layer
		}
	}
	return -1
}

// tree is the part of a package's name within which it may import freely.
func tree(name string) string {
	parts := strings.SplitN(name, "/", 3)
	switch {
	case len(parts) > 1 && (parts[0] == "internal" || parts[0] == "sinks"):
		return parts[0] + "/" + parts[1]
	default:
		return parts[0]
	}
}

// checkImport says what is wrong with from importing to, both within the
// module; empty if nothing is.
func checkImport(from, to string) string {
	lf, lt := layerOf(from), layerOf(to)
	switch {
	case lf < 0:
		return fmt.Sprintf("%s belongs to no layer; see layers", from)
	case to == "internal/testenv" && !within(from, "internal/testenv") && !within(from, "cmd"):
		return fmt.Sprintf("%s imports %s, which is for tests and the demo", from, to)
	case to == "sinks/sinktest" && !within(from, to):
		return fmt.Sprintf("%s imports %s, which is for tests", from, to)
	case within(from, "schemas/change"):
		return fmt.Sprintf("%s imports %s: the vocabulary is a leaf", from, to)
	case tree(from) == tree(to):
		return ""
	case within(from, "sinks") && (to == "sinks" || to == "sinks/migrate" && from != "sinks"):
		return ""
	case lt < lf:
		return ""
	case slices.Contains(neighbours[from], to):
		return ""
	case lt == lf:
		return fmt.Sprintf("%s imports %s of the same layer: they may meet only above", from, to)
	default:
		return fmt.Sprintf("%s imports %s of a higher layer", from, to)
	}
}

// checkReserved says what is wrong with a module package importing path from
// outside of the module.
func checkReserved(from, path string) string {
	for _, r := range reserved {
		if under(path, r.path) && !slices.ContainsFunc(r.trees, func(tree string) bool { return within(from, tree) }) {
			return fmt.Sprintf("%s imports %s, reserved for %v: %s", from, path, r.trees, r.because)
		}
	}
	return ""
}

func TestImports(t *testing.T) {
	all := listPackages(t)
	own := 0
	for _, p := range all {
		if p.Module == nil || !p.Module.Main {
			continue
		}
		own++
		for _, path := range p.Imports {
			var problem string
			if to, ours := strings.CutPrefix(path, module); ours {
				problem = checkImport(p.name(), to)
			} else {
				problem = checkReserved(p.name(), path)
			}
			if problem != "" {
				t.Error(problem)
			}
		}
		for _, rule := range pure {
			if !within(p.name(), rule.tree) {
				continue
			}
			for _, dep := range p.Deps {
				if reaches(all[dep], rule.never) {
					t.Errorf("%s reaches %s: %s", p.name(), dep, rule.because)
				}
			}
		}
	}
	if own < 5 {
		t.Errorf("go list showed %d packages of the module: the test looks at the wrong place", own)
	}
}

// reaches reports whether dep is one of never; "*" is everything outside of
// the standard library.
func reaches(dep pkg, never []string) bool {
	return slices.ContainsFunc(never, func(path string) bool {
		if path == "*" {
			return !dep.Standard && dep.ImportPath != ""
		}
		if dep.Standard {
			return dep.ImportPath == path
		}
		return under(dep.ImportPath, path)
	})
}

// TestImportRules shows that the rules can fail.
func TestImportRules(t *testing.T) {
	for _, c := range []struct {
		from, to string
		ok       bool
	}{
		{"cmd/cdc", "internal/pipeline", true},
		{"cmd/cdc", "sinks/postgres", true},
		{"internal/pipeline", "internal/stream", true},
		{"internal/pipeline", "joiner", true},
		{"internal/stream/embedded", "internal/stream", true},
		{"sinks/postgres", "sinks", true},
		{"sinks/sinktest", "sinks", true},
		{"sinks/postgres", "sinks/migrate", true},
		{"sinks", "sinks/migrate", false},
		{"sinks/migrate", "sinks/postgres", false},
		{"joiner", "schemas/view", true},
		{"cdc/binlog", "cdc", true},
		{"schemas/wire", "schemas/change", true},
		{"internal/testenv/cmd/testenv", "internal/testenv", true},

		{"sinks/postgres", "sinks/clickhouse", false},
		{"sinks/postgres", "sinks/sinktest", false},
		{"sinks", "sinks/postgres", false},
		{"joiner", "statestore", false},
		{"joiner", "internal/stream", false},
		{"cdc", "joiner", false},
		{"internal/stream", "internal/pipeline", false},
		{"internal/stream", "internal/config", false},
		{"internal/pipeline", "internal/testenv", false},
		{"schemas/view", "joiner", false},
		{"schemas/change", "schemas/wire", false},
		{"internal/pipeline", "cmd/cdc", false},
		{"pkg/thing", "schemas/change", false},
	} {
		if got := checkImport(c.from, c.to); (got == "") != c.ok {
			t.Errorf("%s imports %s: %q, want allowed %v", c.from, c.to, got, c.ok)
		}
	}
	for _, c := range []struct {
		from, path string
		ok         bool
	}{
		{"internal/stream", "github.com/twmb/franz-go/pkg/kgo", true},
		{"joiner", "github.com/twmb/franz-go/pkg/kgo", false},
		{"joiner", "github.com/twmb/franz", true}, // another module
		{"internal/pipeline", "github.com/cockroachdb/pebble/v2", false},
		{"schemas/view", "gopkg.in/yaml.v3", false},
		{"internal/testenv", "testing", false},
	} {
		if got := checkReserved(c.from, c.path); (got == "") != c.ok {
			t.Errorf("%s imports %s: %q, want allowed %v", c.from, c.path, got, c.ok)
		}
	}
	std, ext := pkg{ImportPath: "log/slog", Standard: true}, pkg{ImportPath: "github.com/jackc/pgx/v5"}
	for _, c := range []struct {
		dep   pkg
		never []string
		want  bool
	}{
		{std, []string{"log/slog"}, true}, {std, []string{"log"}, false},
		{std, []string{"*"}, false},
		{ext, []string{"*"}, true}, {ext, []string{"github.com/jackc"}, true}, {ext, []string{"github.com/jack"}, false},
	} {
		if got := reaches(c.dep, c.never); got != c.want {
			t.Errorf("%s reached with %v forbidden: %v, want %v", c.dep.ImportPath, c.never, got, c.want)
		}
	}
}
