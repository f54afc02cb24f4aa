package tds

import (
	"context"
	"fmt"

	"github.com/etlsandbox/cdc/internal/testenv/tds/rewrite"
	"github.com/etlsandbox/cdc/internal/testenv/tds/tsql"
)

// fixed are options that the double has in one position alone: the one that it is right in.
var fixed = map[string]string{
	"ANSI_NULLS": "ON", "ANSI_PADDING": "ON", "ANSI_WARNINGS": "ON", "ARITHABORT": "ON", "CONCAT_NULL_YIELDS_NULL": "ON",
	"QUOTED_IDENTIFIER": "ON", "NUMERIC_ROUNDABORT": "OFF", "IMPLICIT_TRANSACTIONS": "OFF", "ANSI_NULL_DFLT_ON": "ON",
	"CURSOR_CLOSE_ON_COMMIT": "OFF",
}

// set changes an option of the session.
func (s *session) set(ctx context.Context, x *tsql.SetOption) error {
	on := x.Value == "ON"
	if want, ok := fixed[x.Name]; ok {
		if x.Value != want {
			return &rewrite.Error{Number: rewrite.Refusal, Text: fmt.Sprintf("the double does not implement SET %s %s", x.Name, x.Value)}
		}
		return nil
	}
	switch x.Name {
	case "XACT_ABORT":
		s.options.xactAbort = on
	case "NOCOUNT":
		s.options.noCount = on
	case "FMTONLY":
		s.options.formatOnly = on
	case "LOCK_TIMEOUT":
		return s.setLockTimeout(ctx, x.Value)
	case "TRANSACTION ISOLATION LEVEL":
		if isolations[x.Value] == "" {
			return noLevel(x.Value)
		}
		if s.tx.count > 0 && x.Value != s.options.isolation {
			return &rewrite.Error{Number: rewrite.Refusal, Text: "the double does not implement another isolation level in the middle of a transaction"}
		}
		s.options.isolation = x.Value
	default:
		return &rewrite.Error{Number: rewrite.Refusal, Text: fmt.Sprintf("the double does not implement SET %s", x.Name)}
	}
	return nil
}

func (s *session) setLockTimeout(ctx context.Context, ms string) error {
	pg := ms
	switch ms {
	case "-1":
		pg = "0" // wait forever
	case "0":
		pg = "1" // PostgreSQL's shortest
	}
	if err := s.command(ctx, "SET lock_timeout = "+pg); err != nil {
		return err
	}
	s.options.lockTimeout = ms
	return nil
}
