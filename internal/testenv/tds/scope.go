package tds

import (
	"context"
	"errors"
	"fmt"

	"github.com/etlsandbox/cdc/internal/testenv/tds/rewrite"
	"github.com/etlsandbox/cdc/internal/testenv/tds/wire"
)

// inScope runs a text that a procedure runs: temporary tables that it makes end with it, RETURN ends it alone, and it
// must leave as many open transactions as it found.
func (s *session) inScope(ctx context.Context, run func() error) error {
	outer, transactions := s.scope, s.tx.count
	s.scope = &scope{}
	err := run()
	inner := s.scope
	s.scope = outer
	if s.tx.doomed {
		inner.temporary = nil // they went with PostgreSQL's transaction, or are out of reach
	}
	for _, t := range inner.temporary {
		if dropErr := s.command(s.c.life, "DROP TABLE IF EXISTS pg_temp."+rewrite.Ident(t)); dropErr != nil {
			return errors.Join(err, dropErr)
		}
	}
	var stop stopBatch
	if err != nil && (!errors.As(err, &stop) || stop.failed) {
		return err
	}
	if s.tx.count != transactions {
		s.reply.Message(wire.Message{Number: 266, State: 2, Class: 16, Text: fmt.Sprintf(
			"Transaction count after EXECUTE indicates a mismatching number of BEGIN and COMMIT statements. Previous count = %d, current count = %d.", transactions, s.tx.count)})
		s.failed = true
	}
	return nil
}

// scope is what ends with a text that a procedure runs.
type scope struct{ temporary []string }
