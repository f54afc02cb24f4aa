package postgres

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// digest is what the server computes over all that a target shows.
func (d *database) digest(t testing.TB, target sinks.Target) (sum sinks.Digest) {
	t.Helper()
	tg := shape(t, target)
	where, err := tg.rangePart(change.WholeTable())
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	err = pgx.BeginFunc(ctx, d.db(t), func(tx pgx.Tx) error {
		sum, err = tg.digest(ctx, tx, where)
		return err
	})
	if err != nil && !strings.Contains(err.Error(), "does not exist") { // nobody made it yet: nothing is shown
		t.Fatal(err)
	}
	return sum
}
