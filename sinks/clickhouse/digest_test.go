package clickhouse

import (
	"context"
	"testing"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// digest is what the server computes over all that a target shows.
func (d *database) digest(t testing.TB, target sinks.Target) sinks.Digest {
	t.Helper()
	r := &Reader{session: d.admin}
	tg, err := r.target(context.Background(), target)
	if err != nil {
		t.Fatal(err)
	}
	where, err := tg.rangeCondition(change.WholeTable())
	if err != nil {
		t.Fatal(err)
	}
	sum, err := r.digest(context.Background(), tg, where)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}
