package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/admin"
	"github.com/etlsandbox/cdc/internal/sample"
	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
)

// samples are the values of /metrics by series, such as `cdc_stream_rows_total{stream="jupiter"}`.
type samples map[string]float64

func (s *scene) metrics() samples {
	s.t.Helper()
	code, body := s.get(s.t.Context(), "/metrics")
	if code != http.StatusOK {
		s.t.Fatalf("/metrics: %d %s", code, body)
	}
	out, err := parseMetrics(body)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

func parseMetrics(body string) (samples, error) {
	out := samples{}
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		v, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("/metrics: %s: %w", line, err)
		}
		out[line[:at]] = v
	}
	return out, nil
}

// sum adds up the series of a metric that have all of these labels.
func (m samples) sum(name string, labels ...string) (n float64) {
	for series, v := range m {
		metric, rest, _ := strings.Cut(series, "{")
		if metric == name && containsAll(rest, labels) {
			n += v
		}
	}
	return n
}

// TestConservation: nothing disappears between two counters. Per table, rows read from the source = filtered +
// written to its topic, where they are counted; rows written to the views' topics = applied at the
// destination + quarantined.
func TestConservation(t *testing.T) {
	s := newScene(t, testenv.MariaDB(t)).sakila(0.02)
	s.start()
	s.waitShown(60 * time.Second)
	first := s.metrics()
	s.changeALittle()
	s.sourceExec(
		"UPDATE sakila."+sample.UncapturedTable+" SET description = 'a' ORDER BY film_id LIMIT 7",
		"INSERT INTO sakila.rental (rental_date, inventory_id, customer_id, staff_id) SELECT '2024-02-03', inventory_id, customer_id, staff_id FROM sakila.rental LIMIT 9",
		"DELETE FROM sakila.payment ORDER BY payment_id DESC LIMIT 4",
	)
	s.waitShown(60 * time.Second)
	eventually(t, 30*time.Second, "the sampled figures are there", func(context.Context) bool {
		m := s.metrics()
		return m.sum("cdc_embedded_broker_disk_bytes") > 0 && m.sum("cdc_state_disk_bytes") > 0 && m.sum("cdc_state_memory_bytes") > 0
	})
	m := s.metrics()

	written := map[string]float64{} // rows by topic, as the progress records count them
	raw, _ := history(t, s.broker, rawStream, 0)
	for _, p := range raw {
		for _, part := range p.Parts {
			if part.Topic != stream.MetaTopic(rawStream) {
				written[part.Topic] += float64(part.Count - part.Tombstones)
			}
		}
	}
	all := 0.0
	tables := map[string]bool{}
	for series := range m {
		if rest, ok := strings.CutPrefix(series, `cdc_source_rows_total{`); ok {
			_, rest, _ = strings.Cut(rest, `table="`)
			table, _, _ := strings.Cut(rest, `"`)
			tables[table] = true
		}
	}
	if len(tables) < 8 {
		t.Errorf("rows of %d tables are counted: %v", len(tables), tables)
	}
	for table := range tables {
		label := `table="` + table + `"`
		topic := stream.DataTopic(rawStream, change.ParseTableID(table))
		read, filtered := m.sum("cdc_source_rows_total", label), m.sum("cdc_source_filtered_rows_total", label)
		if read != filtered+written[topic] {
			t.Errorf("table %s: %v rows read, %v filtered, %v in its topic", table, read, filtered, written[topic])
		}
		all += written[topic]
	}
	if n := m.sum("cdc_source_filtered_rows_total", sample.UncapturedTable); n != 7 {
		t.Errorf("%v rows of %s were filtered, want 7", n, sample.UncapturedTable)
	}
	if n := m.sum("cdc_stream_rows_total", `stream="`+rawStream+`"`); n != all {
		t.Errorf("%v rows in the raw stream, %v in its topics", n, all)
	}

	out := m.sum("cdc_stream_rows_total", `stream="`+viewStream+`"`)
	applied, quarantined := m.sum("cdc_sink_rows_total"), m.sum("cdc_dlq_rows_total")
	if out != applied+quarantined || out == 0 {
		t.Errorf("%v rows in the view stream, %v applied, %v quarantined", out, applied, quarantined)
	}
	if out <= first.sum("cdc_stream_rows_total", `stream="`+viewStream+`"`) {
		t.Error("the changes gave no rows: the test shows nothing")
	}
	if m.sum("cdc_join_output_rows_total") != out {
		t.Errorf("%v rows put out by the joiner, %v in its stream", m.sum("cdc_join_output_rows_total"), out)
	}
	if n := m.sum("cdc_source_bytes_total"); n == 0 {
		t.Error("no bytes of the log were counted")
	}
}

// TestConservationQuarantined: what a destination refuses is counted too: of each destination, the rows written to the
// views' topics = applied + quarantined, from the start on; the table of refused rows has as many.
func TestConservationQuarantined(t *testing.T) {
	s := newScene(t, testenv.MariaDB(t)).sakila(0.02)
	venus := s.another("venus")
	s.start()
	s.waitShown(60 * time.Second)
	s.sinkExec(`ALTER TABLE "CustomerOrderFlat" ADD CONSTRAINT small CHECK ("Amount" < 500)`) // of one destination
	s.sourceExec(
		"UPDATE sakila.payment SET amount = 900 WHERE rental_id IS NOT NULL ORDER BY payment_id LIMIT 5", // refused
		"UPDATE sakila.payment SET amount = amount + 1 WHERE rental_id IS NOT NULL ORDER BY payment_id DESC LIMIT 6",
		"UPDATE sakila.customer SET last_name = CONCAT(last_name, '!')", // refused again, in new versions
	)
	s.waitShown(60 * time.Second)
	m := s.metrics()
	out := m.sum("cdc_stream_rows_total", `stream="`+viewStream+`"`)
	for sink, database := range map[string]string{"neptune": s.target, "venus": venus} {
		label := `sink="` + sink + `"`
		applied, quarantined := m.sum("cdc_sink_rows_total", label), m.sum("cdc_dlq_rows_total", label)
		t.Logf("%s: %v rows in the view stream = %v applied + %v quarantined", sink, out, applied, quarantined)
		if out != applied+quarantined {
			t.Errorf("%s: %v rows in the view stream, %v applied, %v quarantined", sink, out, applied, quarantined)
		}
		if refused := sink == "neptune"; refused != (quarantined > 0) {
			t.Errorf("%s: %v rows were quarantined", sink, quarantined)
		}
		var listed, right int
		pg := s.postgresIn(database)
		if err := pg.QueryRow(t.Context(), "SELECT count(*) FROM cdc_quarantine").Scan(&listed); err != nil {
			t.Fatal(err)
		}
		if err := pg.QueryRow(t.Context(), `SELECT count(*) FROM "CustomerOrderFlat" WHERE "Amount" = 900`).Scan(&right); err != nil {
			t.Fatal(err)
		}
		if (sink == "neptune") != (listed >= 5 && right == 0) {
			t.Errorf("%s: %d rows are listed, %d rows of 900 are shown", sink, listed, right)
		}
		eventually(t, 30*time.Second, "the sampled figure is what the destination lists", func(context.Context) bool {
			return int(s.metrics().sum("cdc_dlq_rows", label)) == listed
		})
	}
	report, err := s.client.Verify(t.Context(), admin.VerifyRequest{TimeoutSeconds: 60}, func(admin.VerifyProgress) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range report.Results {
		if r.Different > 0 || r.Unsettled > 0 || (r.Sink == "neptune") != (r.Quarantined >= 5) {
			t.Errorf("verify of %s: %+v", r.Sink, r)
		}
	}

	// A good version clears the entry, and both sides are equal.
	s.sourceExec("UPDATE sakila.payment SET amount = 9 WHERE amount = 900")
	s.waitShown(60 * time.Second)
	s.digests()
	s.verify()
	m = s.metrics()
	if out, in := m.sum("cdc_stream_rows_total", `stream="`+viewStream+`"`), m.sum("cdc_sink_rows_total", "neptune")+m.sum("cdc_dlq_rows_total", "neptune"); out != in {
		t.Errorf("%v rows in the view stream, %v applied or quarantined", out, in)
	}
	eventually(t, 30*time.Second, "no row is quarantined after a good version of each", func(context.Context) bool {
		return s.metrics().sum("cdc_dlq_rows") == 0
	})
}
