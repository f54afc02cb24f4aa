package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const minimal = `source:
  host: db.example.com
  user: cdc
  password: ${env:PW}
sinks:
  neptune:
    type: postgres
    host: /run/postgresql
    database: flat
    user: cdc
    deliver: [{from: view/Flat}]
`

func parseText(t *testing.T, text string, o Options) (*Config, error) {
	t.Helper()
	if o.Environ == nil {
		o.Environ = []string{"PW=s3cret"}
	}
	if o.ReadFile == nil {
		o.ReadFile = func(name string) ([]byte, error) {
			return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
		}
	}
	return Parse("cdc.yaml", []byte(text), o)
}

func mustParse(t *testing.T, text string, o Options) *Config {
	t.Helper()
	c, err := parseText(t, text, o)
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return c
}

func TestMinimal(t *testing.T) {
	c := mustParse(t, minimal, Options{})
	if c.Source.Password.Reveal() != "s3cret" {
		t.Errorf("password %q", c.Source.Password.Reveal())
	}
	if got := c.Source.TLS.Mode; got != "verify-full" {
		t.Errorf("tls.mode of a distant host is %q", got)
	}
	s := c.Sinks["neptune"]
	if s.TLS.Mode != "disable" || s.Port != 5432 || s.Schema != "public" || !s.Enabled || s.Batch.MaxDelay != 100*time.Millisecond {
		t.Errorf("sink defaults: %+v", s)
	}
	if s.Deliver[0].From.View != "Flat" || s.Deliver[0].Delete != "hard" {
		t.Errorf("deliver: %+v", s.Deliver)
	}
	if c.Broker.RetentionBytes != 4*GiB || c.Joiner.Memory != 512*MiB {
		t.Errorf("sizes: %v %v", c.Broker.RetentionBytes, c.Joiner.Memory)
	}
}

// The complete file of the reference parses.
// Where a batch ends unless the file says so depends on the kind of destination; a reload may change it.
func TestBatchesByKind(t *testing.T) {
	for _, c := range []struct {
		sets []string
		want int
	}{
		{nil, 10_000},
		{[]string{"sinks.neptune.type=clickhouse"}, 100_000},
		{[]string{"sinks.neptune.type=clickhouse", "sinks.neptune.batch.max_rows=7"}, 7},
		{[]string{"sinks.neptune.type=sqlserver", "sinks.neptune.batch.min_rows=20000"}, 20_000},
	} {
		got := mustParse(t, minimal, Options{Environ: []string{"PW=x"}, Sets: c.sets}).Sinks["neptune"].Batch.MaxRows
		if got != c.want {
			t.Errorf("%v: max_rows %d, want %d", c.sets, got, c.want)
		}
	}
}

func TestCompleteFile(t *testing.T) {
	text, err := os.ReadFile("testdata/complete.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c := mustParse(t, string(text), Options{
		Environ:  []string{"NEPTUNE_PASSWORD=p"},
		ReadFile: func(string) ([]byte, error) { return []byte("from file\n"), nil },
	})
	if from := c.Sinks["neptune"].Deliver[1].From; !from.Tables.MatchString("sakila.film") || from.Tables.MatchString("x.sakila.film") {
		t.Errorf("raw tables: %v", from)
	}
	if got := c.Source.Password.Reveal(); got != "from file" {
		t.Errorf("password %q", got)
	}
	if !c.Source.Tables.Match("sakila", "rental") || c.Source.Tables.Match("x.sakila", "rental") {
		t.Error("expressions are not anchored")
	}
	if !c.Source.Columns.Excluded("sakila", "staff", "password") {
		t.Error("columns.exclude does not match")
	}
}

func TestProblems(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"unknown keys, wrong types and impossible values at once", `version: 1
sorce: {}
source:
  hots: db.example.com
  port: "33 06"
  user: cdc
  password: hunter2
  heartbeat: 5
  on_gap: resnc
  tables: {include: ["sakila.("]}
joiner: {memory: 512}
sinks:
  neptune:
    type: postgress
    host: pg
    database: flat
    user: cdc
    password: ${env:MISSING}
    deliver: [{from: veiw/Flat}]
    batch: {max_rows: -1}
`, `cdc.yaml:2:1: sorce: unknown key: did you mean "source"?
cdc.yaml:4:3: source.hots: unknown key: did you mean "host"?
cdc.yaml:4:3: source.host: is required (host name, address, or the path of a socket)
cdc.yaml:5:9: source.port: want a whole number, got "33 06"
cdc.yaml:7:13: source.password: a secret must not be written here: write ${env:SOURCE_PASSWORD} and set that variable, or ${file:/run/secrets/source_password}
cdc.yaml:8:14: source.heartbeat: a duration needs a unit: write 5s or 5ms
cdc.yaml:9:11: source.on_gap: "resnc" is not possible: did you mean "resync"? allowed: resync, stop
cdc.yaml:10:22: source.tables.include[0]: "sakila.(" is not a regular expression: error parsing regexp: missing closing ): ` + "`sakila.(`" + `
cdc.yaml:11:18: joiner.memory: a size needs a unit: write 512B (units: B, KiB, MiB, GiB, TiB)
cdc.yaml:14:11: sinks.neptune.type: "postgress" is not possible: did you mean "postgres"? allowed: postgres, sqlserver, clickhouse
cdc.yaml:18:15: sinks.neptune.password: the environment variable MISSING is not set: set it, or write ${env:MISSING:-default}
cdc.yaml:19:22: sinks.neptune.deliver[0].from: "veiw/Flat" names nothing to deliver: write view/NAME, or table/ and an expression such as table/sakila.*
cdc.yaml:20:23: sinks.neptune.batch.max_rows: -1 is less than min_rows, which is 1`},
		{"nothing", "", `cdc.yaml:1:1: source.host: is required (host name, address, or the path of a socket)
cdc.yaml:1:1: source.user: is required (account with the grants that cdc doctor names)
cdc.yaml:1:1: source.password: is required (its password)
cdc.yaml:1:1: sinks: is required: name at least one (destinations by name)`},
		{"syntax", "source:\n  host: [a\nuser: b\n", `cdc.yaml:2:1: not YAML: did not find expected ',' or ']'`},
		{"indentation", "version: 1\nsource:\n  host: a\n user: b\n", `cdc.yaml:4:1: not YAML: did not find expected key`},
		{"a tab", "version: 1\nsource:\n\thost: a\n", `cdc.yaml:3:1: not YAML: found character that cannot start any token`},
		{"no blank", "version: 1\nsource:\n  host: a\n  user b\n  port: 1\n", `cdc.yaml:4:1: not YAML: could not find expected ':'`},
		{"a colon in a value", "name: a: b\n", `cdc.yaml:1:1: not YAML: mapping values are not allowed in this context`},
		{"two documents", minimal + "---\na: 1\n", `cdc.yaml:12:1: not YAML: a second document begins: keep one`},
		{"a list at the top", "- a\n", `cdc.yaml:1:1: want a section of keys (version, name, data_dir, source, topics, publish, broker, views, contracts, joiner, sinks, admin, log, telemetry, config, vault, run), got a list`},
		{"anchors", minimal + "log: &a {level: info}\n", `cdc.yaml:12:6: log: YAML anchors and aliases are not supported: write the value out`},
		{"twice", minimal + "name: a\nname: b\n", `cdc.yaml:13:1: name: is written twice: keep one`},
		{"a number as text", minimal + "name: 5\n", `cdc.yaml:12:7: name: want text, got the number 5: put it in quotes`},
		{"no value", minimal + "name:\n", `cdc.yaml:12:6: name: has no value: write one, or remove the key`},
		{"a word for a list", minimal + "run: {stages: join}\n", `cdc.yaml:12:15: run.stages: want a list, got text: write [join]`},
		{"part of a value", minimal + "data_dir: /var/${env:X}\n", `cdc.yaml:12:11: data_dir: a reference must be the whole value: ${env:NAME}, ${env:NAME:-default} or ${file:PATH}`},
		{"vault", minimal + "data_dir: ${vault:a#b}\n", `cdc.yaml:12:11: data_dir: vault references come with a later version: use ${env:NAME} or ${file:PATH}`},
		{"missing file", minimal + "data_dir: ${file:none}\n", `cdc.yaml:12:11: data_dir: read the file of ${file:none}: open none: file does not exist`},
		{"name of a view stream", minimal + "name: a-views\n", `cdc.yaml:12:7: name: "a-views" would be taken for the views or dead letters of another stream: choose another end`},
		{"embedded broker for all", minimal + "broker: {listen: 0.0.0.0:9092}\n", `cdc.yaml:12:18: broker.listen: 0.0.0.0:9092 is reachable from other machines, and the embedded broker has no authentication: use 127.0.0.1:PORT, or broker.type kafka`},
		{"kafka without brokers", minimal + "broker: {type: kafka}\n", `cdc.yaml:12:9: broker.brokers: is required with broker.type kafka: name host:port of at least one`},
		{"open API", minimal + "admin: {listen: \":8383\"}\n", `cdc.yaml:12:17: admin.listen: :8383 is reachable from other machines, which needs admin.auth and admin.tls: use 127.0.0.1:PORT and a proxy in front of it`},
		{"later features", minimal + "publish: [{name: x}]\ntelemetry: {otlp_endpoint: otel:4317}\nconfig: {consul: {address: a}}\nrun: {standby: true}\nvault: {address: v}\nadmin: {auth: {issuer: i}}\nviews: {on_change: stop}\ntopics: {oversize: unavailable}\n",
			`cdc.yaml:12:10: publish: comes with a later version: remove the key
cdc.yaml:13:28: telemetry.otlp_endpoint: comes with a later version: remove the key
cdc.yaml:14:28: config.consul.address: comes with a later version: remove the key
cdc.yaml:15:16: run.standby: comes with a later version: remove the key
cdc.yaml:16:18: vault.address: comes with a later version: remove the key
cdc.yaml:17:24: admin.auth.issuer: comes with a later version: remove the key
cdc.yaml:18:20: views.on_change: comes with a later version: remove the key
cdc.yaml:19:20: topics.oversize: comes with a later version: remove the key`},
		{"a sink that gets nothing", strings.Replace(minimal, "deliver: [{from: view/Flat}]", "deliver: []", 1), `cdc.yaml:11:14: sinks.neptune.deliver: names nothing to deliver: write at least one {from: view/NAME} or {from: table/EXPRESSION}, or take the sink out`},
		{"keys of other kinds", strings.Replace(minimal, "view/Flat}", "view/Flat, order_by: [Id]}", 1),
			`cdc.yaml:11:43: sinks.neptune.deliver[0].order_by: shapes tables of ClickHouse, and this sink is of type postgres: remove the key`},
		{"keys of one kind", strings.Replace(strings.Replace(minimal, "postgres", "clickhouse", 1), "view/Flat}", "view/Flat, identity: Id}", 1),
			`cdc.yaml:11:43: sinks.neptune.deliver[0].identity: Id: ClickHouse numbers no column: remove the key`},
		{"a key for many tables", strings.Replace(strings.Replace(minimal, "postgres", "clickhouse", 1), "view/Flat}", "table/a.*, partition_by: Id}", 1),
			`cdc.yaml:11:47: sinks.neptune.deliver[0].partition_by: the tables of table/a.* have keys of their own: deliver the one it is meant for by a view, or remove the key`},
		{"a name of the bookkeeping", strings.Replace(minimal, "view/Flat}", "view/Flat, to: cdc_progress}", 1),
			`cdc.yaml:11:15: sinks.neptune.deliver[0]: writes to public.cdc_progress, a name that is kept for the bookkeeping at the destination: give it another one with to`},
		{"names that differ in case", strings.Replace(strings.Replace(minimal, "postgres", "sqlserver", 1), "view/Flat}", "view/Flat}, {from: view/FLAT}", 1),
			`cdc.yaml:11:34: sinks.neptune.deliver[1]: writes to dbo.FLAT, as sinks.neptune.deliver[0] does: give one of them another name`},
		{"names and extra columns", minimal + "    names: lower\n    extra_columns: [position]\n", ""},
		{"extra columns that nobody knows", minimal + "    extra_columns: [position, applied]\n",
			`cdc.yaml:12:31: sinks.neptune.extra_columns[1]: "applied" is not possible: did you mean "applied_at"? allowed: position, applied_at`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseText(t, tt.text, Options{})
			got := ""
			if err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStart(t *testing.T) {
	tests := []struct{ text, want string }{
		{"now", `cdc.yaml:5:10: source.start: a start other than snapshot comes with a later version: remove the key`},
		{"{file: binlog.000042, position: 4}", `cdc.yaml:5:10: source.start: a start other than snapshot comes with a later version: remove the key`},
		{"{file: binlog.000042, position: 3}", `cdc.yaml:5:10: source.start: position 3 lies before the first event of a binlog, which is at 4`},
		{"{gtid: a, time: 2026-01-02T03:04:05Z}", `cdc.yaml:5:10: source.start: not a place to start: ` + startForms},
		{"{time: yesterday}", `cdc.yaml:5:17: source.start.time: "yesterday" is not a time: write 2026-01-02T03:04:05Z`},
		{"{gtd: a}", `cdc.yaml:5:11: source.start.gtd: unknown key: did you mean "gtid"?`},
		{"never", `cdc.yaml:5:10: source.start: "never" is not a place to start: ` + startForms},
	}
	for _, tt := range tests {
		text := strings.Replace(minimal, "sinks:", "  start: "+tt.text+"\nsinks:", 1)
		_, err := parseText(t, text, Options{})
		if err == nil || err.Error() != tt.want {
			t.Errorf("start: %s\ngot  %v\nwant %s", tt.text, err, tt.want)
		}
	}
}

// Order: defaults < file < environment < --set.
func TestOrder(t *testing.T) {
	o := Options{
		Environ: []string{
			"PW=x", "CDC_SOURCE__HOST=env.example.com", "CDC_SINKS__NEPTUNE__PASSWORD=pl${ain: {s3cret", "CDC_SINKS__NEPTUNE__PORT=6000",
			"CDC_SOURCE__TABLES__INCLUDE=[a.b, \"c.d\"]", "CDC_LOG__LEVEL=warn", "CDC_TOKEN=ignored", "CDC_VERSION=1.2.3", "CDC_PORT_80_TCP=x",
			"CDC_SINKS__NEPTUNE__DATABASE=123",
		},
		Sets: []string{"log.level=debug", "sinks.neptune.batch={max_rows: 5}", "source.snapshot.threads=4", "log.level=error"},
	}
	c := mustParse(t, strings.Replace(minimal, "${env:PW}", "${env:PW}\n  port: 3307", 1)+"log: {level: info, format: text}\n", Options{Environ: []string{"PW=x"}})
	if c.Source.Port != 3307 || c.Log.Format != "text" {
		t.Errorf("file: %d %s", c.Source.Port, c.Log.Format)
	}
	c = mustParse(t, minimal, o)
	if c.Source.Host != "env.example.com" || c.Sinks["neptune"].Port != 6000 || c.Sinks["neptune"].Database != "123" {
		t.Errorf("environment: host %s, port %d, database %s", c.Source.Host, c.Sinks["neptune"].Port, c.Sinks["neptune"].Database)
	}
	if got := c.Sinks["neptune"].Password.Reveal(); got != "pl${ain: {s3cret" {
		t.Errorf("password %q", got)
	}
	if got := c.Source.Tables.Include; len(got) != 2 || got[1].String() != "c.d" {
		t.Errorf("tables %v", got)
	}
	if c.Log.Level != "error" || c.Sinks["neptune"].Batch.MaxRows != 5 || c.Source.Snapshot.Threads != 4 {
		t.Errorf("--set: %s %d %d", c.Log.Level, c.Sinks["neptune"].Batch.MaxRows, c.Source.Snapshot.Threads)
	}
}

func TestOverlayProblems(t *testing.T) {
	_, err := parseText(t, minimal, Options{
		Environ: []string{"PW=x", "CDC_SOURCE__HOTS=h", "CDC_SOURCE__PORT=many"},
		Sets:    []string{"nonsense", "sinks.neptune.password=literal", "log.level=loud"},
	})
	want := `--set nonsense: want KEY=VALUE, such as --set log.level=debug
environment CDC_SOURCE__PORT: source.port: want a whole number, got "many"
environment CDC_SOURCE__HOTS: source.hots: unknown key: did you mean "host"?
--set sinks.neptune.password: sinks.neptune.password: a secret must not be written here: write ${env:NEPTUNE_PASSWORD} and set that variable, or ${file:/run/secrets/neptune_password}
--set log.level: log.level: "loud" is not possible: allowed: debug, info, warn, error`
	got := fmt.Sprint(err)
	for _, line := range strings.Split(want, "\n") {
		if !strings.Contains(got, line) {
			t.Errorf("missing: %s\nin:\n%s", line, got)
		}
	}
	if n := strings.Count(got, "\n") + 1; n != 5 {
		t.Errorf("%d problems:\n%s", n, got)
	}
}

func TestSearchPath(t *testing.T) {
	absent := func(name string) ([]byte, error) { return nil, fs.ErrNotExist }
	if _, err := Load(Options{ReadFile: absent}); !errors.Is(err, ErrNoFile) {
		t.Errorf("no file: %v", err)
	}
	etc := func(name string) ([]byte, error) {
		if name == "/etc/cdc/cdc.yaml" {
			return []byte(minimal), nil
		}
		return nil, fs.ErrNotExist
	}
	c, err := Load(Options{ReadFile: etc, Environ: []string{"PW=x"}})
	if err != nil {
		t.Fatal(err)
	}
	if c.File() != "/etc/cdc/cdc.yaml" || c.DataDir != "/etc/cdc/cdc-data" || c.Views.Dir != "/etc/cdc/schemas/views" {
		t.Errorf("file %s, data_dir %s, views %s", c.File(), c.DataDir, c.Views.Dir)
	}
}

// Commands find a running daemon although its file has been broken since.
func TestDataDir(t *testing.T) {
	read := func(text string) Options {
		return Options{File: "/etc/x/cdc.yaml", ReadFile: func(string) ([]byte, error) { return []byte(text), nil }}
	}
	if dir, err := DataDir(read("data_dir: d\nsorce: {}\n")); err != nil || dir != "/etc/x/d" {
		t.Errorf("%q, %v", dir, err)
	}
	for _, text := range []string{"data_dir: []\n", "a: [", "- list\n"} {
		if dir, err := DataDir(read(text)); err == nil {
			t.Errorf("%q gives %q", text, dir)
		}
	}
}

// I7: no secret in a log, an error, a metric or the page.
func TestSecretsAreHidden(t *testing.T) {
	text := strings.Replace(minimal, "${env:PW}", "${env:NONE:-s3cret}", 1)
	c := mustParse(t, text, Options{Environ: []string{"CDC_SINKS__NEPTUNE__PASSWORD=s3cret"}})
	if c.Source.Password.Reveal() != "s3cret" || c.Sinks["neptune"].Password.Reveal() != "s3cret" {
		t.Fatal("the secret was not read")
	}
	y, err := c.YAML()
	if err != nil {
		t.Fatal(err)
	}
	j, err := c.JSON()
	if err != nil {
		t.Fatal(err)
	}
	std, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", c.Source.Password, "all", c)
	type holder struct{ c Config }
	for name, out := range map[string]string{
		"YAML": string(y), "JSON": string(j), "Marshal": string(std), "slog": log.String(),
		"%v": fmt.Sprintf("%v", *c), "%+v": fmt.Sprintf("%+v", c), "%#v": fmt.Sprintf("%#v", c), "unexported": fmt.Sprintf("%+v", holder{*c}),
	} {
		if strings.Contains(out, "s3cret") {
			t.Errorf("%s shows the secret: %s", name, out)
		}
	}
	if !strings.Contains(string(y), "password: ${env:NONE:-(hidden)} # cdc.yaml:4:13") {
		t.Errorf("reference or place missing in\n%s", y)
	}
}

// What config show prints can be loaded again and means the same.
func TestShowRoundTrip(t *testing.T) {
	o := Options{Environ: []string{"PW=x"}}
	c := mustParse(t, minimal, o)
	y, err := c.YAML()
	if err != nil {
		t.Fatal(err)
	}
	again := mustParse(t, string(y), o)
	if d := Diff(c, again); len(d) > 0 {
		t.Errorf("differs: %+v", d)
	}
	j, err := c.JSON()
	if err != nil {
		t.Fatal(err)
	}
	again = mustParse(t, string(j), o) // JSON is YAML
	if d := Diff(c, again); len(d) > 0 {
		t.Errorf("JSON differs: %+v", d)
	}
}

func TestDiff(t *testing.T) {
	o := Options{Environ: []string{"PW=x"}}
	old := mustParse(t, minimal, o)
	o.Environ = append(o.Environ, "CDC_SOURCE__PASSWORD=other")
	o.Sets = []string{
		"log.level=debug", "source.host=other", "source.snapshot.threads=8", "sinks.neptune.enabled=false", "sinks.neptune.batch.max_rows=7",
		"sinks.venus={type: postgres, host: localhost, database: d, user: u, deliver: [{from: view/Flat}]}",
	}
	got := Diff(old, mustParse(t, minimal, o))
	want := []Change{
		{Path: "source.host", Old: "db.example.com", New: "other"},
		{Path: "source.password", Old: "${env:PW}", New: "(from environment CDC_SOURCE__PASSWORD)"},
		{Path: "source.snapshot.threads", Old: "2", New: "8", Live: false},
		{Path: "sinks.neptune.enabled", Old: "true", New: "false", Live: true},
		{Path: "sinks.neptune.batch.max_rows", Old: "10000", New: "7", Live: true},
		{Path: "sinks.venus", Old: "(none)", New: "(added)", Live: true},
		{Path: "log.level", Old: "info", New: "debug", Live: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// Of a list of sections the entries that differ are named, in short.
	deliver := func(list string) *Config {
		return mustParse(t, minimal, Options{Environ: []string{"PW=x"}, Sets: []string{"sinks.neptune.deliver=" + list}})
	}
	got = Diff(deliver(`[{from: view/Flat}, {from: "table/a.*", schema: raw}]`), deliver(`[{from: view/Flat, to: Flats, delete: soft}, {from: "table/a.*", schema: raw}]`))
	want = []Change{
		{Path: "sinks.neptune.deliver", Old: "{from: view/Flat}", New: "(removed)", Live: true},
		{Path: "sinks.neptune.deliver", Old: "(none)", New: "{from: view/Flat, to: Flats, delete: soft}", Live: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got = Diff(deliver("[{from: view/A}, {from: view/B, delete: soft}]"), deliver("[{from: view/B, delete: soft}, {from: view/A}]"))
	want = []Change{{Path: "sinks.neptune.deliver", Old: "[{from: view/A}, {from: view/B, delete: soft}]", New: "[{from: view/B, delete: soft}, {from: view/A}]", Live: true}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// What has its default from another key is no change of its own.
	o.Sets = []string{"name=saturn"}
	renamed := mustParse(t, minimal, o)
	if old.Name == renamed.Name || old.Central.Consul.Prefix == renamed.Central.Consul.Prefix {
		t.Fatal("the default does not follow the name: the test shows nothing")
	}
	got = Diff(mustParse(t, minimal, Options{Environ: o.Environ}), renamed)
	if diff := cmp.Diff([]Change{{Path: "name", Old: old.Name, New: "saturn"}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Every key has a default or is required, never both, and a description.
func TestEveryKeyIsDescribed(t *testing.T) {
	ref := Reference()
	for _, line := range strings.Split(ref, "\n") {
		cells := strings.Split(line, "|")
		if len(cells) == 7 && strings.TrimSpace(cells[5]) == "" {
			t.Errorf("no description: %s", line)
		}
	}
	b, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(b) || !strings.Contains(string(b), `"additionalProperties": false`) {
		t.Errorf("schema: %s", b)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(minimal, "CDC_SOURCE__HOST=x", "log.level=debug")
	if text, err := os.ReadFile("testdata/complete.yaml"); err == nil {
		f.Add(string(text), "CDC_SINKS__NEPTUNE__PASSWORD=x", "sinks.neptune={}")
	}
	f.Add("source: {start: {gtid: a}}\nsinks: {a: {deliver: [x]}}\n", "CDC_A__B=[", "a.b.c={")
	f.Add("a: &a [*a]\n<<: *a\n", "CDC_SINKS__A={b: c}", "..=")
	f.Fuzz(func(t *testing.T, text, env, set string) {
		o := Options{Environ: []string{env, "PW=x"}, Sets: []string{set}, ReadFile: func(string) ([]byte, error) { return nil, fs.ErrNotExist }}
		c, err := Parse("f", []byte(text), o)
		if (c == nil) == (err == nil) {
			t.Fatalf("config %v, error %v", c, err)
		}
		if err != nil {
			return
		}
		y, err := c.YAML()
		if err != nil {
			t.Fatalf("YAML: %v", err)
		}
		if _, err := c.JSON(); err != nil {
			t.Fatalf("JSON: %v\n%s", err, y)
		}
	})
}
