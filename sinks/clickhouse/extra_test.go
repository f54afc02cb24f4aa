package clickhouse

import (
	"testing"

	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// TestExtraColumnsShown: the readers' view shows the extra columns, also when they are added to a table that is
// there, and rows from before have no time that a read or a merge makes up.
func TestExtraColumnsShown(t *testing.T) {
	d := newDatabase(t, testenv.ClickHouse(t), HTTP)
	tg, f := items(), &feed{}
	s := d.openNamed(t, d.config("x"))
	mustPrepare(t, s, tg)
	f.load(t, s, tg)
	old := f.inserts(tg, "a", 1)
	mustApply(t, s, old)
	tg.Extra = sinks.Extra{Position: "_cdc_position", AppliedAt: "_cdc_applied_at"}
	mustPrepare(t, s, tg)
	mustApply(t, s, f.inserts(tg, "b", 2))
	const sql = "SELECT Name || ' ' || toString(_cdc_position) || ' ' || toString(_cdc_applied_at IS NULL OR abs(dateDiff('minute', _cdc_applied_at, now('UTC'))) > 60) FROM Items ORDER BY Id"
	const want = "a 3 1 b 4 0"
	if got := d.text(t, sql); got != want || old.To != change.Seq(3) {
		t.Errorf("shown %q, want %q", got, want)
	}
	if err := d.admin.exec(t.Context(), "merge", "OPTIMIZE TABLE Items_versions FINAL", nil); err != nil {
		t.Fatal(err)
	}
	if got := d.text(t, sql); got != want {
		t.Errorf("after a merge %q, want %q", got, want)
	}
}
