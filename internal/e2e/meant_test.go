package e2e

import (
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
