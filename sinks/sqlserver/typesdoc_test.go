package sqlserver

import (
	"flag"
	"testing"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks/sinktest"
)

var updateTypes = flag.Bool("update", false, "write this destination's section of docs/reference/types.md again")

func TestTypesPage(t *testing.T) {
	sinktest.TypeSection{
		Destination: "SQL Server",
		Column: func(typ change.Type) (string, error) {
			_, s, err := typeOf(typ)
			return s.String(), err
		},
		Limits: limits(),
	}.Check(t, "../../docs/reference/types.md", *updateTypes)
}
