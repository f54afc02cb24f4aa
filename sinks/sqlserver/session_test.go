package sqlserver

import (
	"errors"
	"testing"
)

// TestNoSession: what is asked of a session that was given up fails as over a lost connection.
func TestNoSession(t *testing.T) {
	var s *session
	nothing := func() error { return nil }
	_, exec := s.exec(t.Context(), commitSQL.with())
	_, one := s.one(t.Context(), serverSQL.with(), nil)
	_, lookup := s.lookup(t.Context(), "dbo", "T")
	for what, err := range map[string]error{
		"exec": exec, "one": one, "look up": lookup,
		"each":           s.each(t.Context(), serverSQL.with(), nil, nothing),
		"bulk":           s.bulk(t.Context(), "T", nil, func(func([]any) error) error { return nil }),
		"in transaction": s.inTransaction(t.Context(), nothing),
	} {
		if !errors.Is(err, errBroken) || !isBroken(err) {
			t.Errorf("%s without a session: %v", what, err)
		}
	}
}
