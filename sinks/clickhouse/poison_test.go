package clickhouse

import (
	"fmt"
	"strings"
	"testing"

	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// TestSearchEndsWithConnection: the search for refused rows ends where the connection is lost, whether the rows
// are in memory or at the destination, and the batch goes through when it is tried again.
func TestSearchEndsWithConnection(t *testing.T) {
	const rows, bad = 64, 5
	for _, c := range []struct {
		name   string
		memory int
	}{{"in memory", 0}, {"at the destination", 1}} {
		t.Run(c.name, func(t *testing.T) {
			d := newDatabase(t, testenv.ClickHouse(t), HTTP)
			tg, f := items(), &feed{}
			cfg := d.config("x")
			cfg.Memory = c.memory
			s := d.openNamed(t, cfg)
			mustPrepare(t, s, tg)
			f.load(t, s, tg)
			d.run(t, "ALTER TABLE Items_versions ADD CONSTRAINT no CHECK Name <> 'poison'")
			var events []change.Event
			for i := range rows {
				name := "good"
				if i%(rows/bad) == 1 {
					name = "poison"
				}
				events = append(events, change.Event{Table: tg.Table, Op: change.Insert, After: item(i, name)})
			}
			batch := f.batch(change.Changes, nil, events...)
			probes := 0
			s.hook = func(step string) error {
				if step == "before probe" {
					if probes++; probes == 4 {
						d.proxy.Refuse()
					}
				}
				return nil
			}
			if err := s.Apply(t.Context(), batch); sinks.ClassOf(err) != sinks.Retry {
				t.Fatalf("the connection is lost in the middle of the search: %v, want a retry", err)
			}
			if probes != 4 {
				t.Errorf("%d probes after the connection was lost", probes-4)
			}
			if err := d.proxy.Heal(); err != nil {
				t.Fatal(err)
			}
			mustApply(t, s, batch)
			if got := d.text(t, "SELECT toString(count()) FROM Items"); got != fmt.Sprint(rows-bad-1) {
				t.Errorf("%s rows are shown, want %d", got, rows-bad-1)
			}
			if got := d.text(t, "SELECT row_key FROM cdc_quarantine FINAL ORDER BY toUInt32(extract(row_key, '[0-9]+'))"); got != "[1] [13] [25] [37] [49] [61]" {
				t.Errorf("quarantined: %s", got)
			}
			if got := d.text(t, "SELECT DISTINCT reason FROM cdc_quarantine FINAL"); !strings.Contains(got, "Constraint `no`") {
				t.Errorf("reason: %s", got)
			}
		})
	}
}
