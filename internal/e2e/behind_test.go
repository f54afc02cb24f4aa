package e2e

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/admin"
	"github.com/etlsandbox/cdc/internal/testenv"
)

// A destination that is away for longer than the embedded broker's bytes last is warned about at 80 %, and filled by a
// cover for it alone when it is back: rows that were right are not written, and the other destination is not touched.
func TestBehindTheBrokersBytes(t *testing.T) {
	s := newScene(t, testenv.MariaDB(t))
	s.own("shop")
	s.sourceExec("CREATE DATABASE shop", "CREATE TABLE shop.line (id INT PRIMARY KEY, n INT, pad VARCHAR(4000))")
	for i := range 500 {
		noise := make([]byte, 1500) // which the broker cannot compress
		if _, err := rand.Read(noise); err != nil {
			t.Fatal(err)
		}
		if _, err := s.db.ExecContext(t.Context(), "INSERT INTO shop.line VALUES (?, ?, ?)", i+1, i, base64.StdEncoding.EncodeToString(noise)); err != nil {
			t.Fatal(err)
		}
	}
	s.tables = append(s.tables, "shop.*")
	s.view("line.sql", "CREATE VIEW Line AS SELECT l.id, l.n, l.pad FROM shop.line l", "Line")
	proxy := testenv.NewProxy(t, fmt.Sprintf("%s:%d", s.sink.Host, s.sink.Port))
	behind := *s.sink
	behind.Server = &testenv.Server{Host: "127.0.0.1", Port: portOf(t, proxy.Addr)}
	database := s.sink.CreateDatabase(t)
	s.more = append(s.more, postgresSink("venus", &behind, database, s.views))
	s.sets = append(s.sets, "broker.retention_bytes=16MiB", "sinks.venus.retry.max_backoff=200ms")
	s.start()
	s.waitShown(time.Minute)
	s.sourceExec("UPDATE shop.line SET n = n + 1 WHERE id <= 10") // from here on its place has a time
	s.waitShown(time.Minute)
	quiet := func() string {
		return s.answer(database, `SELECT string_agg(id || ':' || xmin, ',' ORDER BY id) FROM "Line" WHERE id > 300`)
	}
	before := quiet()

	proxy.Refuse()
	proxy.Cut()
	const falls = "the broker drops what the sink still needs"
	warned := func() bool { return strings.Contains(s.log(), falls) }
	write := func(rows int) { // and the other destination has it
		s.sourceExec(fmt.Sprintf("UPDATE shop.line SET n = n + 1 WHERE id <= %d", rows))
		if _, err := s.client.Wait(t.Context(), admin.WaitRequest{Sink: "neptune"}, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 { // about half of it at once: the fuller the broker, the further apart are its commits
		write(300)
	}
	for began := time.Now(); !warned(); { // a sample is taken every two seconds, so it fills slowly
		if time.Since(began) > 3*time.Minute {
			t.Fatalf("no warning, and the broker holds %v bytes", s.metrics().sum("cdc_embedded_broker_disk_bytes"))
		}
		write(40)
	}
	if left := s.metrics().sum("cdc_sink_retention_seconds", `sink="venus"`); left > 3600 {
		t.Errorf("at the warning %v seconds are left", left)
	}
	if text := s.log(); strings.Contains(text[strings.Index(text, falls):], " for venus,") {
		t.Error("the cover began before the destination was back")
	}
	for range 10 { // what is written by now is far more than the broker holds
		write(300)
	}
	s.sourceExec("DELETE FROM shop.line WHERE id BETWEEN 290 AND 300")
	write(1)
	touched := s.touched("Line")
	if err := proxy.Heal(); err != nil {
		t.Fatal(err)
	}
	s.waitShown(2 * time.Minute)
	text := s.log()
	warning := strings.Index(text, falls)
	if cover := strings.LastIndex(text, " for venus,"); cover < warning {
		t.Error("no cover for the destination began after the warning")
	}
	if n := strings.Count(text[warning:], `"msg":"cover begin: `); n != 1 {
		t.Errorf("%d covers began after the warning, want one", n)
	}
	if after := quiet(); after != before {
		t.Errorf("rows that were right were written again: %.100s…, before %.100s…", after, before)
	}
	if now := s.touched("Line"); now != touched {
		t.Errorf("venus was filled, and the table at neptune was touched: before %s, after %s", touched, now)
	}
	s.equal("neptune/Line", "venus/Line")
}

// answer answers a query in one of the destination's databases.
func (s *scene) answer(database, query string) (text string) {
	s.t.Helper()
	pg := s.postgresIn(database)
	if err := pg.QueryRow(s.t.Context(), query).Scan(&text); err != nil {
		s.t.Fatal(fmt.Errorf("%s: %w", query, err))
	}
	return text
}
