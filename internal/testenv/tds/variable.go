package tds

import (
	"context"
	"fmt"
	"strings"

	"github.com/etlsandbox/cdc/internal/testenv/tds/rewrite"
	"github.com/etlsandbox/cdc/internal/testenv/tds/tsql"
)

// tableVariables are the table variables of a request, each a temporary table of PostgreSQL under a name of its own.
// A rollback leaves a table variable of SQL Server as it is, and takes PostgreSQL's table back: that is why one
// is neither declared nor changed within a transaction.
type tableVariables struct {
	names map[string]string // in lower case -> PostgreSQL's
	made  int               // by the session, ever
}

func isTableVariable(name tsql.Name) bool { return len(name) == 1 && strings.HasPrefix(name[0], "@") }

// find returns the table behind a variable.
func (v *tableVariables) find(name string) (string, error) {
	if t, ok := v.names[strings.ToLower(name)]; ok {
		return t, nil
	}
	return "", &rewrite.Error{Number: 1087, Class: 15, Text: fmt.Sprintf("Must declare the table variable \"%s\".", name)}
}

func (s *session) declareTable(ctx context.Context, x *tsql.DeclareTable) error {
	name := x.Name.Last()
	key := strings.ToLower(name)
	_, scalar := s.variables[key]
	if _, table := s.tables.names[key]; table || scalar {
		return &rewrite.Error{Number: 134, Class: 15, Text: fmt.Sprintf("The variable name '%s' has already been declared. Variable names must be unique within a query batch or stored procedure.", name)}
	}
	switch {
	case s.tx.count > 0:
		return &rewrite.Error{Number: rewrite.Refusal, Text: "the double does not implement the declaration of a table variable (" + name + ") within a transaction"}
	case s.nesting > 0:
		return &rewrite.Error{Number: rewrite.Refusal, Text: "the double does not implement table variables (" + name + ") in a text within a text"}
	}
	for _, k := range x.Constraints {
		if k.Name != "" {
			return &rewrite.Error{Number: rewrite.Refusal, Class: 15, Text: "a constraint of a table variable has no name, unlike " + k.Name}
		}
	}
	s.tables.made++
	behind := fmt.Sprintf("%s/%d", name, s.tables.made)
	sql, err := s.translator().CreateTable(ctx, &x.CreateTable, rewrite.Place{Name: behind, Temp: true})
	if err != nil {
		return err
	}
	err = s.atomically(ctx, len(sql) > 1, func() error {
		return s.command(ctx, strings.Join(sql, "; "))
	})
	if err == nil {
		s.tables.names[key] = behind
	}
	return err
}

// forgetTables ends the request's table variables.
func (s *session) forgetTables() {
	if s.tx.count == 0 && !s.pg.IsClosed() { // else the name is not used again, and the table goes with the session
		for _, t := range s.tables.names {
			// What cannot be dropped is in nobody's way, as above.
			_, _ = s.pg.Exec(s.c.life, "DROP TABLE IF EXISTS pg_temp."+rewrite.Ident(t)).ReadAll()
		}
	}
	clear(s.tables.names)
}
