package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
)

// TestColumnRegained: columns that the filter lets through again start a cover of their table, also one that came
// while it was left out, and although the log that is still to be read changes the table once more.
func TestColumnRegained(t *testing.T) {
	for _, server := range []struct {
		name string
		open func(t *testing.T) *testenv.MySQLServer
	}{
		{"mariadb", func(t *testing.T) *testenv.MySQLServer { return testenv.MariaDB(t) }},
		{"mysql", func(t *testing.T) *testenv.MySQLServer { return testenv.MySQL(t) }},
	} {
		t.Run(server.name, func(t *testing.T) { columnRegained(t, server.open(t)) })
	}
}

func columnRegained(t *testing.T, source *testenv.MySQLServer) {
	s := newScene(t, source)
	s.own("mall")
	s.sourceExec("CREATE DATABASE mall",
		"CREATE TABLE mall.article (cost INT, id INT PRIMARY KEY, name VARCHAR(20))",
		"CREATE TABLE mall.other (id INT PRIMARY KEY)",
		"INSERT INTO mall.article VALUES (1001, 1, 'a'), (1002, 2, 'b')", "INSERT INTO mall.other VALUES (1)")
	s.tables = append(s.tables, "mall.*")
	s.hidden = []string{"mall.article.cost", "mall.article.note"}
	s.view("articles.sql", "CREATE VIEW Articles AS SELECT id, name FROM mall.article", "Articles")
	s.view("others.sql", "CREATE VIEW Others AS SELECT id FROM mall.other", "Others")
	s.start()
	s.waitShown(time.Minute)
	s.sourceExec("ALTER TABLE mall.article ADD COLUMN note VARCHAR(20) AFTER id", "UPDATE mall.article SET note = 'early'",
		"INSERT INTO mall.article VALUES (1003, 3, 'early', 'c')")
	s.waitShown(time.Minute)
	topic := stream.DataTopic(rawStream, change.TableID{DB: "mall", Name: "article"})
	_, end := bounds(t, s.broker, topic, partitions)
	began := s.begins(rawStream)
	s.stop()

	s.sourceExec("UPDATE mall.article SET cost = cost + 1000", "ALTER TABLE mall.article ADD COLUMN late INT DEFAULT 7 FIRST",
		"INSERT INTO mall.article VALUES (8, 2004, 4, 'n', 'd')", "UPDATE mall.article SET note = 'later', name = CONCAT(name, '+')")
	s.hidden = nil
	s.configure()
	s.start()
	s.waitShown(time.Minute)
	later := texts(t, s.broker, topic, end)
	for _, want := range []string{`"cost":2001`, `"cost":2003`, `"note":"later"`, `"late":7`, `"late":8`} {
		if count(later, want) == 0 {
			t.Errorf("no record of %d has %s", len(later), want)
		}
	}
	// One for the columns, one for the rows that the statement filled, none of the other table.
	if n := s.begins(rawStream) - began; n != 2 {
		t.Errorf("%d covers began, want 2", n)
	}
	s.verify()
	s.ready()
	s.stop()

	s.sourceExec("UPDATE mall.article SET cost = -cost")
	wider := "CREATE VIEW Articles AS SELECT id, name, cost, note, late FROM mall.article"
	if err := os.WriteFile(filepath.Join(s.dir, "views", "articles.sql"), []byte(wider), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.waitShown(time.Minute)
	s.verify()
	s.ready()
	began = s.begins(rawStream)
	s.stop()
	s.start()
	s.sourceExec("UPDATE mall.article SET cost = -cost")
	s.waitShown(time.Minute)
	s.verify()
	if n := s.begins(rawStream) - began; n != 0 {
		t.Errorf("%d covers began at a start where nothing had changed", n)
	}
}
