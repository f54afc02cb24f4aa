package clickhouse

import (
	"fmt"
	"testing"

	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks/sinktest"
)

// BenchmarkAhead compares batches that are encoded while the one before is applied with those that are not.
func BenchmarkAhead(b *testing.B) {
	d := newDatabase(b, testenv.ClickHouse(b), HTTP)
	tg, f := flat(), &feed{}
	cfg := d.config("bench")
	cfg.Host, cfg.Port, cfg.NoSync = d.server.Host, d.server.Port, false
	s := d.openNamed(b, cfg)
	mustPrepare(b, s, tg)
	f.load(b, s, tg)
	next := 0
	for _, size := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint("insert/", size), func(b *testing.B) {
			sinktest.BenchAhead(b, s, func() *change.Batch {
				rows := make([]change.Row, size)
				for i := range rows {
					rows[i] = flatRow(next)
					next++
				}
				return rowsBatch(f, tg, change.Insert, rows)
			})
		})
	}
}
