package postgres

import (
	"flag"
	"testing"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks/sinktest"
)

var updateTypes = flag.Bool("update", false, "write this destination's section of docs/reference/types.md again")

func TestTypesPage(t *testing.T) {
	sinktest.TypeSection{
		Destination: "PostgreSQL",
		Column: func(typ change.Type) (string, error) {
			_, ddl := typeOf(typ)
			return ddl, nil
		},
		Limits: sinktest.Limits{Value: refusesValue},
	}.Check(t, "../../docs/reference/types.md", *updateTypes)
}
