package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/testenv"
)

// TestMigrateKilled: `cdc migrate apply` is killed inside each of its statements, the making of the table of versions
// among them. Whatever it had done is written down, whatever it had not is planned again, and in the end nothing of the
// first plan is missing: a daemon that may change nothing delivers, and lists what is refused.
func TestMigrateKilled(t *testing.T) {
	s := newScene(t, testenv.MariaDB(t))
	s.own("shop")
	s.sourceExec("CREATE DATABASE shop", "CREATE TABLE shop.item (id INT PRIMARY KEY, name VARCHAR(40))", "INSERT INTO shop.item VALUES (1, 'one')")
	s.tables = append(s.tables, "shop.*")
	s.view("items.sql", "CREATE VIEW Items AS SELECT i.id AS Id, i.name AS Name FROM shop.item i", "Items")
	s.sets = append(s.sets, "sinks.neptune.schema_changes=strict")
	s.configure()
	// The server waits inside the statement whose number stop says, for so long that the process is killed in it.
	s.breakRows(s.target, "CREATE SCHEMA probe", "CREATE SEQUENCE probe.n", "CREATE TABLE probe.stop (at bigint)", "INSERT INTO probe.stop VALUES (0)",
		`CREATE FUNCTION probe.wait() RETURNS event_trigger LANGUAGE plpgsql AS
		'BEGIN IF nextval(''probe.n'') = (SELECT at FROM probe.stop) THEN PERFORM pg_sleep(600); END IF; END'`,
		"CREATE EVENT TRIGGER wait ON ddl_command_end EXECUTE FUNCTION probe.wait()")
	first := s.migration("plan", 1).Statements
	if len(first) < 4 {
		t.Fatalf("planned: %q", first)
	}
	kills := 0
	for at := 1; s.killedInMigration(at); at = 2 { // the first time the table of versions, then the statement behind the one that is killed no more
		kills++
		done, rest := s.migration("status", 0).Applied, s.migration("plan", 1).Statements
		for i, v := range slices.Backward(done) {
			if v.Version != int64(len(done)-i) || !slices.Contains(first, v.Statement) {
				t.Fatalf("kill %d: version %d, %q, among %d", kills, v.Version, v.Statement, len(done))
			}
		}
		if left := len(first) - len(rest); left < 0 || left > len(done) || !slices.Equal(first[left:], rest) {
			t.Fatalf("kill %d, behind %d statements: planned %q, of %q", kills, len(done), rest, first)
		}
	}
	if kills < 4 {
		t.Errorf("killed %d times, which is not every statement of %q", kills, first)
	}
	if out := s.migration("plan", 0); len(out.Statements) > 0 {
		t.Errorf("planned in the end: %q", out.Statements)
	}
	var texts []string
	for _, v := range slices.Backward(s.migration("status", 0).Applied) {
		texts = append(texts, v.Statement)
	}
	for _, text := range first {
		if !slices.Contains(texts, text) {
			t.Errorf("%q was never applied; applied were %q", text, texts)
		}
	}
	s.breakRows(s.target, "DROP EVENT TRIGGER wait", `ALTER TABLE "Items" ADD CHECK ("Name" <> 'bad')`)
	s.start()
	s.waitShown(time.Minute)
	s.verify()
	s.sourceExec("INSERT INTO shop.item VALUES (2, 'bad')")
	s.waitShown(time.Minute)
	if list := s.letters(); len(list) != 1 || list[0].Key != "[2]" {
		t.Errorf("refused: %+v", list)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("the daemon ends with status %d", code)
	}
}

// migrated is what `cdc migrate --json` tells of one sink.
type migrated struct {
	Statements []string
	Applied    []struct {
		Version   int64
		Statement string
	}
}

func (s *scene) migration(word string, want int) migrated {
	s.t.Helper()
	status, out := s.run("migrate", word, "--json")
	var list []migrated
	if err := json.Unmarshal([]byte(out), &list); err != nil || status != want || len(list) != 1 {
		s.t.Fatalf("migrate %s: status %d, want %d (%v)\n%s", word, status, want, err, out)
	}
	return list[0]
}

// killedInMigration runs `cdc migrate apply` and kills it inside its at-th statement; false if it has fewer.
func (s *scene) killedInMigration(at int) bool {
	s.t.Helper()
	s.breakRows(s.target, "SELECT setval('probe.n', 1, false)", fmt.Sprintf("UPDATE probe.stop SET at = %d", at))
	var out bytes.Buffer
	cmd := exec.Command(s.bin, "migrate", "apply", "--config", s.config())
	cmd.Env, cmd.Stdout, cmd.Stderr = s.environ(), &out, &out
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	pg, tick := s.postgres(), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(time.Minute); ; {
		select {
		case err := <-ended:
			if err != nil {
				s.t.Fatalf("migrate apply: %v\n%s", err, out.String())
			}
			return false
		case <-tick.C:
		}
		inside := 0
		const waits = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
		if err := pg.QueryRow(s.t.Context(), "SELECT count(*) "+waits).Scan(&inside); err != nil {
			s.t.Fatal(err)
		}
		if inside > 0 {
			_ = cmd.Process.Signal(syscall.SIGKILL) // it may have ended
			<-ended
			// The server would find out when it has waited; what it does then is the same.
			if _, err := pg.Exec(s.t.Context(), "SELECT pg_terminate_backend(pid, 10000) "+waits); err != nil {
				s.t.Fatal(err)
			}
			return true
		}
		if time.Now().After(limit) {
			_ = cmd.Process.Signal(syscall.SIGKILL)
			s.t.Fatalf("migrate apply has neither ended nor come to statement %d within a minute\n%s", at, strings.TrimSpace(out.String()))
		}
	}
}
