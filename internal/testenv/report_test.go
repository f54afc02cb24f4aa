package testenv

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReport(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report")
	var empty strings.Builder
	if err := WriteReport(&empty, path); err != nil || !strings.Contains(empty.String(), "(none was started)") {
		t.Errorf("no report: %v\n%s", err, empty.String())
	}
	t.Setenv("CDC_TESTENV_REPORT", path)
	e := newTestEnv(t, Options{})
	for _, took := range []time.Duration{time.Second, 2 * time.Second} {
		if err := e.reportStart(&Server{Kind: KindMySQL, Version: "9.7.4", From: fromPackages}, took); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.reportMissing(KindKafka); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	if err := WriteReport(&got, path); err != nil {
		t.Fatal(err)
	}
	want := `SERVER  VERSION  FROM      STARTS            SLOWEST  USED BY
kafka   MISSING  -         tests SKIPPED: 1  -        testenv
mysql   9.7.4    packages  2                 2.0s     testenv
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	if err := os.WriteFile(path, []byte("nonsense\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := WriteReport(&got, path); err == nil {
		t.Error("a malformed report was accepted")
	}
}

func TestRequired(t *testing.T) {
	for _, c := range []struct {
		list string
		want bool
	}{
		{"", false}, {"mysql", true}, {"mariadb,mysql", true}, {"mariadb, mysql", true},
		{"all", true}, {"mysqlx", false}, {"mariadb", false},
	} {
		if got := required(c.list, KindMySQL); got != c.want {
			t.Errorf("required(%q, mysql) = %v, want %v", c.list, got, c.want)
		}
	}
}

func TestBudget(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 0, "90": 90 * time.Second, "2m": 2 * time.Minute} {
		t.Setenv("CDC_TEST_BUDGET", text)
		if got := Budget(t); got != want {
			t.Errorf("CDC_TEST_BUDGET=%q: %v, want %v", text, got, want)
		}
	}
	t.Setenv("CDC_TEST_BUDGET", "long")
	if got := verdict(func(tb TB) { Budget(tb) }); got != "fatal" {
		t.Errorf("CDC_TEST_BUDGET=long: %s, want fatal", got)
	}
}

// TestMissing: where no source has a server, the error says what to do, and
// CDC_REQUIRE decides between a failure and a skip.
func TestMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv(kafkaAddress, "")
	report := filepath.Join(t.TempDir(), "report")
	e := newTestEnv(t, Options{Cache: openTemp(t), Report: report})
	_, err := e.Kafka(t.Context())
	if !IsMissing(err) {
		t.Fatalf("Kafka = %v, want a MissingError", err)
	}
	for _, want := range []string{"no kafka to be had", "CDC_TEST_KAFKA is not set", "no java on PATH", "install a JDK"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q:\n%v", want, err)
		}
	}
	for _, c := range []struct{ require, want string }{{"", "skip"}, {"mysql", "skip"}, {"kafka", "fatal"}, {"all", "fatal"}} {
		t.Setenv("CDC_REQUIRE", c.require)
		if got := verdict(func(tb TB) { must(tb, e, KindKafka, (*KafkaServer)(nil), err) }); got != c.want {
			t.Errorf("CDC_REQUIRE=%s: %s, want %s", c.require, got, c.want)
		}
	}
	t.Setenv("CDC_REQUIRE", "")
	if got := verdict(func(tb TB) { must(tb, e, KindKafka, (*KafkaServer)(nil), os.ErrPermission) }); got != "fatal" {
		t.Errorf("a server that was found and failed: %s, want fatal", got)
	}
	t.Setenv(kafkaAddress, "127.0.0.1:nonsense")
	if _, err := e.Kafka(t.Context()); err == nil || IsMissing(err) {
		t.Errorf("a bad address in the environment: %v, want an error that is no MissingError", err)
	}
}

// verdict runs f and tells how it ended its test.
func verdict(f func(TB)) (how string) {
	defer func() {
		if v, ok := recover().(verdictTB); ok {
			how = string(v)
		}
	}()
	f(verdictTB(""))
	return "ran on"
}

// verdictTB is a test that notes its end by panicking with it.
type verdictTB string

func (verdictTB) Helper()               {}
func (verdictTB) Cleanup(func())        {}
func (verdictTB) Fatalf(string, ...any) { panic(verdictTB("fatal")) }
func (verdictTB) Skipf(string, ...any)  { panic(verdictTB("skip")) }
