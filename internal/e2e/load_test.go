package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/internal/stream/kafka"
	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// wide seeds a table of rows of 2 KiB each that no compression makes smaller, and delivers a view of it.
func (s *scene) wide(rows int) *scene {
	s.t.Helper()
	s.own("wide")
	s.sourceExec(
		"CREATE DATABASE wide",
		"USE wide", // the table of numbers is one of its tables
		"CREATE TABLE wide.page (id INT PRIMARY KEY, body TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL)",
		fmt.Sprintf("INSERT INTO wide.page SELECT seq, REPLACE(CONCAT(TO_BASE64(RANDOM_BYTES(768)), TO_BASE64(RANDOM_BYTES(768))), '\n', '') FROM seq_1_to_%d", rows),
	)
	s.tables = append(s.tables, "wide.*")
	s.view("page.sql", "CREATE VIEW Page AS SELECT p.id AS Id, p.body AS Body FROM wide.page p;\n", "Page")
	return s
}

// begins counts the covers that the daemons of the scene have begun on a stream.
func (s *scene) begins(name string) (n int) {
	for line := range strings.Lines(s.log()) {
		if containsAll(line, []string{`"msg":"cover begin: `, `"stream":"` + name + `"`}) {
			n++
		}
	}
	return n
}

// TestLongFirstLoad: a first load four times as large as what the embedded broker keeps, to a destination
// that is slower than everything before it, waits for the destination and does not begin again.
func TestLongFirstLoad(t *testing.T) {
	const retention, rows = 16 << 20, 34_000
	s := newScene(t, testenv.MariaDB(t)).wide(rows)
	var size int64
	if err := s.db.QueryRow("SELECT SUM(LENGTH(body)) FROM wide.page").Scan(&size); err != nil {
		t.Fatal(err)
	}
	if size < 4*retention {
		t.Fatalf("the table has %d bytes: the test shows nothing", size)
	}
	proxy := testenv.NewProxy(t, fmt.Sprintf("%s:%d", s.sink.Host, s.sink.Port))
	proxy.Limit(12 << 20)
	s.sinkAt = proxy.Addr
	s.sets = append(s.sets, fmt.Sprintf("broker.retention_bytes=%dMiB", retention>>20), "source.snapshot.chunk_rows=500")
	s.start()
	most := 0.0
	eventually(t, 2*time.Minute, "the destination is filled", func(ctx context.Context) bool {
		if code, _ := s.get(ctx, "/metrics"); code == 200 {
			most = max(most, s.metrics().sum("cdc_embedded_broker_disk_bytes"))
		}
		st, err := s.client.Status(ctx)
		return err == nil && len(st.Sinks) == 1 && st.Sinks[0].Seq > 0 && len(st.Sinks[0].Covers) == 0
	})
	proxy.Limit(0)
	s.waitShown(60 * time.Second)
	s.verify()
	for _, name := range []string{rawStream, viewStream} {
		recs, _ := history(t, s.broker, name, 0)
		first, kept := bounds(t, s.broker, stream.ProgressTopic(name), 1)
		t.Logf("%s: progress is kept from offset %d on (%d records of %d)", name, first[0], len(recs), kept[0])
		if n := s.begins(name); n != 1 {
			t.Errorf("%s: %d covers were begun, want 1", name, n)
		}
		if first[0] == 0 {
			t.Errorf("%s: nothing was trimmed: the test shows nothing", name)
		}
	}
	t.Logf("%d MiB of source, %d MiB of broker at most, of %d", size>>20, int64(most)>>20, retention>>20)
	if most > 1.5*retention {
		t.Errorf("the broker held %.0f bytes, its ceiling is %d", most, retention)
	}
}

// bounds are the first and the end offsets of a topic's partitions, at the broker that listens at addr.
func bounds(t *testing.T, addr, topic string, partitions int32) (first, end []int64) {
	t.Helper()
	l, err := kafka.NewLog(kafka.Config{Brokers: []string{addr}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var parts []wire.Part
	for p := range partitions {
		parts = append(parts, wire.Part{Topic: topic, Partition: p})
	}
	bs, err := l.Bounds(t.Context(), parts)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bs {
		first, end = append(first, b.Start), append(end, b.Stable)
	}
	return first, end
}

// texts reads the values of a data topic behind some offsets, as text.
func texts(t *testing.T, addr, topic string, from []int64) (values []string) {
	t.Helper()
	l, err := kafka.NewLog(kafka.Config{Brokers: []string{addr}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, end := bounds(t, addr, topic, int32(len(from)))
	for p, at := range from {
		for at < end[p] {
			got, err := l.Read(ctx, []stream.Want{{Topic: topic, Partition: int32(p), From: at, MaxBytes: 1 << 20}}, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range got[0].Records {
				values = append(values, string(e.Value))
			}
			if got[0].Next <= at {
				t.Fatalf("%s[%d] cannot be read at offset %d", topic, p, at)
			}
			at = got[0].Next
		}
	}
	return values
}

// partitions is broker.partitions of a scene.
const partitions = 4

// TestFirstLoadKilled: a first load that is killed again and again goes on where it was. At the source, no
// more chunks are read twice than were being read when the daemon died, and the cover is begun once.
func TestFirstLoadKilled(t *testing.T) {
	const threads, kills = 3, 4
	s := newScene(t, testenv.NewMariaDB(t)).sakila(0.1)
	s.sets = append(s.sets, "source.snapshot.chunk_rows=100", fmt.Sprintf("source.snapshot.threads=%d", threads))
	reads := s.chunkReads()
	for range kills {
		s.crash("capture-chunk", 5)
	}
	s.start()
	s.waitShown(60 * time.Second)
	recs, _ := history(t, s.broker, rawStream, 0)
	chunks := oneCover(t, rawStream, recs)
	if chunks < 10*kills {
		t.Errorf("%d chunks: the test shows nothing", chunks)
	}
	s.readOnce(chunks, reads(), kills*threads)
	s.digests()
	s.verify()
}

// chunkReads makes the source write down its queries, until the returned function is called: it tells how many of
// them have read a chunk of the Sakila schema. The server must be the test's own.
func (s *scene) chunkReads() (reads func() int) {
	s.t.Helper()
	s.sourceExec("SET GLOBAL log_output = 'TABLE'", "TRUNCATE TABLE mysql.general_log", "SET GLOBAL general_log = ON")
	return func() (n int) {
		s.t.Helper()
		s.sourceExec("SET GLOBAL general_log = OFF")
		if err := s.db.QueryRow("SELECT COUNT(*) FROM mysql.general_log WHERE command_type IN ('Query', 'Execute') AND argument LIKE 'SELECT % FROM `sakila`.`%` WHERE %' AND argument NOT LIKE '% LIMIT 1%'").Scan(&n); err != nil {
			s.t.Fatal(err)
		}
		return n
	}
}

// readOnce fails the test unless each chunk of a cover was read at the source, and at most so many of them again.
func (s *scene) readOnce(chunks, reads, again int) {
	s.t.Helper()
	s.t.Logf("%d chunks, %d reads of chunks at the source", chunks, reads)
	if reads < chunks {
		s.t.Errorf("%d reads of %d chunks: the count shows nothing", reads, chunks)
	}
	if n := reads - chunks; n > again {
		s.t.Errorf("%d chunks were read again, want at most %d", n, again)
	}
}

// TestColumnExcluded: a column that the filter excludes from the next start on leaves no more, although what
// the source logged before holds it; nothing else stops.
func TestColumnExcluded(t *testing.T) {
	s := newScene(t, testenv.MariaDB(t)).sakila(0.02)
	s.start()
	s.waitShown(60 * time.Second)
	s.sourceExec("UPDATE sakila.customer SET email = CONCAT('shown-', customer_id)")
	s.waitShown(60 * time.Second)
	topic := stream.DataTopic(rawStream, change.TableID{DB: "sakila", Name: "customer"})
	if n := count(texts(t, s.broker, topic, make([]int64, partitions)), "shown-"); n == 0 {
		t.Fatal("the value is not found while it is captured: the test shows nothing")
	}
	_, end := bounds(t, s.broker, topic, partitions)
	s.stop()

	s.sourceExec("UPDATE sakila.customer SET email = CONCAT('secret-', customer_id)")
	s.hidden = append(s.hidden, "sakila.customer.email")
	s.configure()
	s.start()
	s.waitShown(60 * time.Second)
	s.sourceExec("UPDATE sakila.customer SET email = CONCAT('secret-', customer_id, '-'), last_name = CONCAT(last_name, '+')")
	s.waitShown(60 * time.Second)
	later := texts(t, s.broker, topic, end)
	if n := count(later, `+"`); n == 0 {
		t.Error("the table's other columns do not go on")
	}
	for _, word := range []string{"secret-", "shown-", `"email"`} {
		if n := count(later, word); n > 0 {
			t.Errorf("%d of %d records hold %q, after the column was excluded", n, len(later), word)
		}
	}
	s.digests()
	s.verify()
	s.ready()
}

// count counts the texts that hold a word.
func count(list []string, word string) (n int) {
	for _, x := range list {
		if strings.Contains(x, word) {
			n++
		}
	}
	return n
}

// TestWaitAfterLostDataDir: without its data folder the daemon has proved nothing of a destination, and wait
// says so, though the destination remembers a place in a stream.
func TestWaitAfterLostDataDir(t *testing.T) {
	s := newScene(t, testenv.MariaDB(t)).sakila(0.02)
	proxy := testenv.NewProxy(t, fmt.Sprintf("%s:%d", s.sink.Host, s.sink.Port))
	s.sinkAt = proxy.Addr
	s.start()
	s.waitShown(60 * time.Second)
	for round := range 3 {
		s.stop()
		s.wipe()
		s.sourceExec(fmt.Sprintf("UPDATE sakila.customer SET last_name = 'Round %d'", round))
		pg := s.postgres()
		truth := s.truth()
		if s.flat(pg) == truth {
			t.Fatal("the destination is equal before the heal: the test shows nothing")
		}
		began := s.begins("jupiter-views")
		proxy.Limit([]int64{0, 64 << 10, 256 << 10}[round]) // also a destination that is slow to be healed
		s.start()
		eventually(t, 30*time.Second, "the daemon answers", func(ctx context.Context) bool {
			_, err := s.client.Status(ctx)
			return err == nil
		})
		status, out := 2, ""
		for tries := 0; status == 2; tries++ {
			if tries == 200 {
				t.Fatalf("wait: status 2: %s", out)
			}
			status, out = s.run("wait", "--timeout", "60s") // 2: the source is not connected yet
		}
		if now := s.flat(pg); status != 0 || now != truth {
			t.Errorf("wait: status %d: %s; the destination shows %v, the source %v", status, strings.TrimSpace(out), now, truth)
		}
		if n := s.begins("jupiter-views") - began; n != 1 {
			t.Errorf("%d covers of the view began, want the one of the first load", n)
		}
		proxy.Limit(0)
	}
	s.verify()
}
