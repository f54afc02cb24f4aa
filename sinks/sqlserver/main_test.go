package sqlserver

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/etlsandbox/cdc/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(testenv.Wrap(m)) }
