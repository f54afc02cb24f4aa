package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"go.uber.org/goleak"

	"github.com/etlsandbox/cdc/internal/admin"
	"github.com/etlsandbox/cdc/internal/config"
	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
)

var update = flag.Bool("update", false, "write docs/reference again")

func TestMain(m *testing.M) { goleak.VerifyTestMain(testenv.Wrap(m)) }

// outcome is what one run of the program gave.
type outcome struct {
	status         int
	stdout, stderr string
}

// String writes it as the golden files have it.
func (o outcome) String() string {
	s := o.stdout
	if o.stderr != "" {
		s += "--- stderr\n" + o.stderr
	}
	return s + fmt.Sprintf("--- exit status %d\n", o.status)
}

func execute(ctx context.Context, p process, args ...string) outcome {
	var out, errs strings.Builder
	p.stdin, p.stdout, p.stderr = strings.NewReader(""), &out, &errs
	status := run(ctx, args, p)
	return outcome{status, out.String(), errs.String()}
}

const testConfig = `source: {host: 127.0.0.1, user: cdc, password: "${env:PW}"}
sinks:
  neptune:
    type: postgres
    host: /run/postgresql
    database: flat
    user: cdc
    deliver: [{from: view/Flat}]
`

// double is a daemon whose answers a test sets.
type double struct {
	status admin.Status
	reload admin.ReloadReport
	covers [][]admin.Cover // what Status shows, call by call; the last stays
	verify admin.VerifyReport
	err    error
	asked  admin.ResyncRequest
}

func (d *double) Status(context.Context) (admin.Status, error) {
	st := d.status
	if len(d.covers) > 0 {
		st.Covers = d.covers[0]
	}
	if len(d.covers) > 1 {
		d.covers = d.covers[1:]
	}
	return st, d.err
}
func (d *double) Config(context.Context) ([]byte, error)             { return []byte("{}"), d.err }
func (d *double) Reload(context.Context) (admin.ReloadReport, error) { return d.reload, d.err }
func (d *double) Wait(ctx context.Context, r admin.WaitRequest) (admin.WaitReport, error) {
	if r.Sink == "stuck" {
		<-ctx.Done()
		return admin.WaitReport{}, fmt.Errorf("wait for sink stuck: %w", ctx.Err())
	}
	return admin.WaitReport{Position: "0-1-9", Seconds: 0.25, Sinks: []admin.Sink{{Name: "neptune", Position: "0-1-9"}}}, d.err
}
func (d *double) Resync(_ context.Context, r admin.ResyncRequest) (admin.ResyncReport, error) {
	d.asked = r
	return admin.ResyncReport{Covers: []admin.Cover{{ID: "c1", State: "waiting", Tables: []string{"sakila.film"}, Of: 1000}}}, d.err
}
func (d *double) Verify(_ context.Context, _ admin.VerifyRequest, progress func(admin.VerifyProgress)) (admin.VerifyReport, error) {
	progress(admin.VerifyProgress{Sink: "neptune", View: "Flat", Rows: 1})
	return d.verify, d.err
}

// serve runs a double on a control socket and returns a process whose configuration leads to it.
func serve(t *testing.T, d *double) (process, []string) {
	t.Helper()
	dir := t.TempDir()
	sock, err := admin.Listen(filepath.Join(dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	s := &admin.Server{Version: "test", Reporter: d, Operator: d, Metrics: http.NotFoundHandler()}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx, sock.Listener) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, sock.Release()); err != nil {
			t.Error(err)
		}
	})
	file := filepath.Join(dir, "cdc.yaml")
	if err := os.WriteFile(file, []byte(testConfig+"data_dir: data\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return process{environ: []string{"PW=x"}}, []string{"-c", file}
}

// TestGolden runs the scripts of testdata: "file" writes a file, "cdc" runs a command line in the folder of
// the script. Run with -rewrite to write the answers anew.
func TestGolden(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		dir := t.TempDir()
		p := process{environ: []string{"PW=x"}, deps: deps{
			doctor: func(context.Context, *config.Config) ([]finding, error) {
				return []finding{
					{Check: "source: log_bin", Level: levelOK, Text: "is ON"},
					{Check: "source: sync_binlog", Level: levelWarn, Text: "is 0: a power cut can lose what was already delivered", Fix: "SET GLOBAL sync_binlog = 1;"},
					{Check: "source: binlog_format", Level: levelBad, Text: "is STATEMENT", Fix: "SET GLOBAL binlog_format = 'ROW';"},
				}, nil
			},
			inspect: func(_ context.Context, s sourceURL) (inspection, error) {
				if s.Password != "s3cret" {
					return inspection{}, errors.New("connect to source: access denied")
				}
				return inspection{Flavor: "mariadb", Version: "10.11.6", Tables: []string{"sakila.film", "sakila.film_category"}}, nil
			},
			compile: func(_ context.Context, _ *config.Config, files []string) ([]compiled, error) {
				return compileAll(files, testCatalog(), os.ReadFile), nil
			},
			daemon: func(context.Context, daemon) error { return errors.New("the source's log is STATEMENT") },
		}}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "file":
				name := filepath.Join(dir, d.CmdArgs[0].Key)
				if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(name, []byte(d.Input+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				return ""
			case "cdc":
				args := strings.Fields(strings.ReplaceAll(d.Input, "$DIR", dir))
				got := strings.ReplaceAll(execute(t.Context(), p, args...).String(), dir, "$DIR")
				return hash.ReplaceAllString(got, "HASH")
			}
			t.Fatalf("unknown directive %s", d.Cmd)
			return ""
		})
	})
}

// hash is a view's, which other packages may change.
var hash = regexp.MustCompile(`[0-9a-f]{64}`)

func testCatalog() catalog {
	integer := change.Type{Kind: change.Int, Name: "int"}
	text := change.Type{Kind: change.String, Name: "varchar", Length: 50, Charset: "utf8mb4", Collation: "utf8mb4_bin"}
	return catalog{
		{ID: change.TableID{DB: "shop", Name: "orders"}, Key: []int{0}, Columns: []change.Column{
			{Name: "id", Type: integer}, {Name: "customer", Type: integer}, {Name: "note", Type: text, Nullable: true}}},
		{ID: change.TableID{DB: "shop", Name: "customers"}, Key: []int{0}, Columns: []change.Column{
			{Name: "id", Type: integer}, {Name: "name", Type: text}}},
		{ID: change.TableID{DB: "old", Name: "customers"}, Key: []int{0}, Columns: []change.Column{{Name: "id", Type: integer}}},
	}
}

// Every verb has help with two examples that begin with the program's name and use its own flags.
func TestHelp(t *testing.T) {
	root := (&app{}).root()
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Name() == "help" {
			return
		}
		n := 0
		for _, line := range strings.Split(c.Example, "\n") {
			if strings.Contains(line, c.CommandPath()) {
				n++
			}
		}
		if n < 2 {
			t.Errorf("%s has %d examples", c.CommandPath(), n)
		}
		args := append(strings.Fields(c.CommandPath())[1:], "--help")
		if o := execute(t.Context(), process{}, args...); o.status != 0 || !strings.Contains(o.stdout, "Examples:") || o.stderr != "" {
			t.Errorf("%v: %s", args, o)
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
}

func TestReferenceIsCurrent(t *testing.T) {
	for name, want := range referencePages((&app{}).root()) {
		path := filepath.Join("..", "..", "docs", "reference", name)
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s is not what the code says: run `go test ./cmd/cdc -run Reference -update`\n%s", path, cmp.Diff(string(got), want))
		}
	}
}

func TestVersionJSON(t *testing.T) {
	var b build
	o := execute(t.Context(), process{}, "version", "--json")
	if err := json.Unmarshal([]byte(o.stdout), &b); err != nil || b.Version == "" || !strings.HasPrefix(b.Go, "go1") {
		t.Errorf("%s: %v", o, err)
	}
}
