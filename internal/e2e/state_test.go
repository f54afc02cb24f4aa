package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
)

// killedTwice leaves a state with files that the next start merges.
func killedTwice(s *scene) {
	for range 2 {
		s.start()
		s.waitShown(60 * time.Second)
		s.sourceExec("UPDATE sakila.customer SET last_update = last_update + INTERVAL 1 SECOND ORDER BY customer_id LIMIT 5")
		s.waitShown(60 * time.Second)
		s.kill()
	}
}

// newTable makes a table that the daemon finds in the log when it starts next.
func newTable(s *scene) {
	name := fmt.Sprintf("sakila.made_%d", time.Now().UnixNano())
	s.sourceExec("CREATE TABLE "+name+" (id INT PRIMARY KEY)", "INSERT INTO "+name+" VALUES (1), (2)")
}

// TestTornState: the state's log ends in the middle of a record, as a power cut leaves it. What is torn is read
// from the stream again. (Invariant I3.)
func TestTornState(t *testing.T) {
	s := newScene(t, testenv.MariaDB(t)).sakila(0.02)
	s.start()
	s.waitShown(60 * time.Second)
	s.kill()
	for i, part := range []float64{0.999, 0.9, 0.5, 0} {
		t.Run(fmt.Sprintf("%g of the log is left", part), func(t *testing.T) {
			defer s.within(t)()
			stop := s.load(int64(i))
			defer stop()
			s.crash("join-state-written", 40)
			log := s.stateLog()
			info, err := os.Stat(log)
			if err != nil {
				t.Fatal(err)
			}
			left := int64(float64(info.Size()) * part)
			if info.Size() < 1000 || left >= info.Size() {
				t.Fatalf("the log has %d bytes: the test shows nothing", info.Size())
			}
			if err := os.Truncate(log, left); err != nil {
				t.Fatal(err)
			}
			s.start()
			stop()
			s.waitShown(60 * time.Second)
			s.digests()
			s.verify()
			s.kill()
			t.Logf("%d of %d bytes were left", left, info.Size())
		})
	}
}

// stateLog is the file of the state's write-ahead log that is written now.
func (s *scene) stateLog() string {
	s.t.Helper()
	logs, err := filepath.Glob(filepath.Join(s.data(), "state", "db", "*.log"))
	if err != nil || len(logs) == 0 {
		s.t.Fatalf("the state has no log: %v", err)
	}
	return logs[len(logs)-1] // names are numbers of one width
}

// TestNewTablesKilled: the daemon is killed at random moments while the source gets new tables, with their topics
// half made or just made. Each topic ends up with all rows of its table, and the others never stop.
func TestNewTablesKilled(t *testing.T) {
	seed := seedOf(t)
	rnd := rand.New(rand.NewPCG(uint64(seed), 2))
	s := newScene(t, testenv.MariaDB(t))
	s.own("shop")
	s.sourceExec("CREATE DATABASE shop", "CREATE TABLE shop.article (id INT PRIMARY KEY, price DECIMAL(10,2))", "INSERT INTO shop.article VALUES (0, 1.10)")
	s.tables = append(s.tables, "shop.*")
	s.view("prices.sql", "CREATE VIEW Prices AS SELECT a.id AS Id, a.price AS Price FROM shop.article a;\n", "Prices")
	s.start()
	s.waitShown(60 * time.Second)
	const tables, rows = 12, 3
	for n := range tables {
		name := fmt.Sprintf("shop.fresh_%d", n)
		s.sourceExec("CREATE TABLE "+name+" (id INT PRIMARY KEY)",
			fmt.Sprintf("INSERT INTO %s VALUES (%d), (%d), (%d)", name, 100*n, 100*n+1, 100*n+2),
			fmt.Sprintf("INSERT INTO shop.article VALUES (%d, %d)", n+1, n))
		pause := time.NewTimer(time.Duration(rnd.IntN(60)) * time.Millisecond)
		select {
		case <-pause.C:
			s.kill()
		case <-s.exited:
			t.Fatalf("the daemon ended by itself with status %d\n%s", s.status, s.tail(10))
		}
		s.start()
		if rnd.IntN(2) == 0 {
			s.waitShown(60 * time.Second) // else the next table comes in the middle of the start
		}
	}
	s.waitShown(60 * time.Second)
	s.verify()
	s.ready()
	for n := range tables {
		id := change.TableID{DB: "shop", Name: fmt.Sprintf("fresh_%d", n)}
		eventually(t, 20*time.Second, fmt.Sprintf("the topic of %s holds its %d rows", id, rows), func(context.Context) bool {
			got := strings.Join(texts(t, s.broker, stream.DataTopic(rawStream, id), make([]int64, partitions)), "\n")
			for i := range rows {
				if !strings.Contains(got, fmt.Sprintf(`"id":%d}`, 100*n+i)) {
					return false
				}
			}
			return true
		})
	}
}
