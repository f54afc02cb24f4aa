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
	// declared are the declarations of those in names; spare are empty tables of requests before, by declaration.
	declared, spare map[string]string
}

func newTableVariables() tableVariables {
	return tableVariables{names: map[string]string{}, declared: map[string]string{}, spare: map[string]string{}}
}

// mostSpare bounds the tables that are kept for the next declaration of the same text.
const mostSpare = 50

func isTableVariable(name tsql.Name) bool { return len(name) == 1 && strings.HasPrefix(name[0], "@") }

// find returns the table behind a variable.
func (v *tableVariables) find(name string) (string, error) {
	if t, ok := v.names[strings.ToLower(name)]; ok {
		return t, nil
	}
	return "", &rewrite.Error{Number: 1087, Class: 15, Text: fmt.Sprintf("Must declare the table variable \"%s\".", name)}
}

func (s *session) declareTable(ctx context.Context, x *tsql.DeclareTable, text string) error {
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
	for _, c := range x.Columns {
		if c.Identity {
			return &rewrite.Error{Number: rewrite.Refusal, Text: "the double does not implement IDENTITY columns of table variables (" + c.Name + ")"}
		}
	}
	if behind, ok := s.tables.spare[text]; ok {
		delete(s.tables.spare, text)
		s.tables.names[key], s.tables.declared[behind] = behind, text
		return nil
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
		s.tables.names[key], s.tables.declared[behind] = behind, text
	}
	return err
}

// forgetTables ends the request's table variables.
func (s *session) forgetTables() {
	for _, t := range s.tables.names {
		text := s.tables.declared[t]
		delete(s.tables.declared, t)
		if s.tx.count > 0 || s.pg.IsClosed() {
			continue // its name is not used again, and it goes with the session
		}
		do := "DELETE FROM pg_temp."
		if _, kept := s.tables.spare[text]; kept || len(s.tables.spare) >= mostSpare {
			do = "DROP TABLE pg_temp."
		} else {
			s.tables.spare[text] = t
		}
		if _, err := s.pg.Exec(s.c.life, do+rewrite.Ident(t)).ReadAll(); err != nil {
			delete(s.tables.spare, text) // what is left of it is in nobody's way, as above
		}
	}
	clear(s.tables.names)
}
