package tds

import (
	"errors"
	"testing"

	"github.com/etlsandbox/cdc/internal/testenv/tds/rewrite"
)

// TestBelongs: the driver never names a wrong transaction, so the session is asked itself.
func TestBelongs(t *testing.T) {
	for _, c := range []struct {
		count int
		id    uint64
		fresh bool
		of    uint64
		taken bool
	}{
		{0, 0, false, 0, true}, {0, 3, false, 0, true}, {1, 3, false, 3, true}, {0, 3, true, 3, true},
		{0, 3, false, 3, false}, {1, 3, false, 2, false}, {1, 3, false, 0, false},
	} {
		s := &session{tx: transaction{count: c.count, id: c.id}, fresh: c.fresh}
		err := s.belongs(c.of)
		var known *rewrite.Error
		if refused := errors.As(err, &known) && known.Number == 3989; refused == c.taken {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
