package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/sample"
	"github.com/etlsandbox/cdc/internal/testenv"
)

// meant starts a daemon whose source is not what the stream came from: it stays up and says so, nothing moves,
// and `cdc resync --all` lets it go on.
func (s *scene) meant(words ...string) {
	s.t.Helper()
	shown := s.flat(s.postgres())
	s.start()
	s.notReady(append(words, "cdc resync --all")...)
	if status, out := s.run("resync", "sakila.film"); status == 0 {
		s.t.Errorf("a resync of one table let it pass:\n%s", out)
	}
	if now := s.flat(s.postgres()); now != shown {
		s.t.Errorf("the destination moved without consent: it showed %v, now %v", shown, now)
	}
	s.must("resync", "--all")
	s.waitShown(90 * time.Second)
	s.digests()
	s.verify()
	s.ready()
}

// TestReplacedServer: another server answers at the source's address, with other rows.
func TestReplacedServer(t *testing.T) {
	s := newScene(t, testenv.MariaDB(t)).sakila(0.05)
	s.start()
	s.waitShown(90 * time.Second)
	s.stop()

	s.source = testenv.NewMariaDB(t)
	db, err := s.source.Open("")
	if err != nil {
		t.Fatal(err)
	}
	first := s.db
	t.Cleanup(func() { db.Close(); s.db = first })
	s.db = db
	if err := sample.Create(t.Context(), db, "sakila"); err != nil {
		t.Fatal(err)
	}
	if err := sample.Seed(t.Context(), db, "sakila", sample.Options{Scale: 0.04, Seed: 2}); err != nil {
		t.Fatal(err)
	}
	s.configure()
	s.meant("belongs to source server")

	s.stop() // the word is given once
	s.changeALittle()
	s.start()
	s.waitShown(60 * time.Second)
	s.digests()
}

// TestSetBackServer: the same server, whose log begins anew and whose rows are others.
func TestSetBackServer(t *testing.T) {
	s := newScene(t, testenv.NewMariaDB(t)).sakila(0.05)
	s.start()
	s.waitShown(90 * time.Second)
	s.stop()
	s.changeALittle()
	s.sourceExec("RESET MASTER")
	s.meant()
}

// TestWordLasts: the word that the source is meant as it is was given, and the daemon dies before it could follow.
func TestWordLasts(t *testing.T) {
	s := newScene(t, testenv.NewMariaDB(t)).sakila(0.02)
	s.start()
	s.waitShown(90 * time.Second)
	s.stop()
	s.changeALittle()
	s.sourceExec("RESET MASTER")
	s.armed("capture-before-commit", 1)
	s.notReady("cdc resync --all")
	if status, out := s.run("resync", "--all"); status == 0 {
		t.Errorf("the daemon died, and the command says that all is well:\n%s", out)
	}
	s.crashed("capture-before-commit")
	s.start()
	s.waitShown(90 * time.Second)
	s.digests()
	s.verify()
	s.ready()
}

// TestNotInTheLog: what changes rows and is not in the log in a form that can be followed pauses the table, where it
// is known, and stops the stream otherwise; the daemon stays, and the command that the message tells goes on.
func TestNotInTheLog(t *testing.T) {
	s := market(t, false)
	c, err := s.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	session := func(statements ...string) {
		t.Helper()
		for _, q := range statements {
			if _, err := c.ExecContext(t.Context(), q); err != nil {
				t.Fatalf("%s: %v", q, err)
			}
		}
	}
	session("SET SESSION binlog_format = 'STATEMENT'", "UPDATE mart.stall SET n = n + 1", "SET SESSION binlog_format = 'ROW'", "UPDATE mart.other SET n = n + 1")
	s.notReady("mart.stall is paused", "binlog_format=ROW", "cdc resync mart.stall")
	pg := s.postgres()
	eventually(t, 30*time.Second, "the other view flows", func(ctx context.Context) bool {
		var n int
		return pg.QueryRow(ctx, `SELECT n FROM "Others"`).Scan(&n) == nil && n == 2
	})
	s.must("resync", "mart.stall")
	s.settled(2)

	session("XA START 'x'", "INSERT INTO mart.stall VALUES (9, 9)", "XA END 'x'", "XA PREPARE 'x'")
	s.notReady("XA transaction", "cdc resync --all")
	session("XA COMMIT 'x'", "UPDATE mart.other SET n = n + 1")
	s.must("resync", "--all")
	s.settled(2)
}
