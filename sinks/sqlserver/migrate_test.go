package sqlserver

import (
	"context"
	"testing"

	"github.com/etlsandbox/cdc/sinks"
	"github.com/etlsandbox/cdc/sinks/migrate"
	"github.com/etlsandbox/cdc/sinks/sinktest"
)

func TestMigrations(t *testing.T) {
	d := newDatabase(t)
	sinktest.Migrations(t, sinktest.Migrated{
		Plan: func(ctx context.Context, stream string, targets []sinks.Target) ([]string, error) {
			return Plan(ctx, d.config("plan"), stream, targets)
		},
		Open: func(t testing.TB, o sinktest.Options) sinks.Sink { return d.open(t, o) },
		Purge: func(ctx context.Context, stream string) ([]string, error) {
			return Purge(ctx, d.config("purge"), stream)
		},
		Database: func(t testing.TB) *migrate.Database {
			db, err := Migrations(d.config("migrate"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := db.DB.Close(); err != nil {
					t.Error(err)
				}
			})
			return db
		},
	})
}
