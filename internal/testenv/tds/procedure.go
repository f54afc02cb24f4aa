package tds

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/etlsandbox/cdc/internal/testenv/tds/datatype"
	"github.com/etlsandbox/cdc/internal/testenv/tds/rewrite"
	"github.com/etlsandbox/cdc/internal/testenv/tds/tsql"
	"github.com/etlsandbox/cdc/internal/testenv/tds/wire"
)

// argument is an argument of a procedure; name is in lower case, empty if it goes by position.
type argument struct {
	name  string
	value datatype.Value
}

// exec is EXEC of a text or a procedure.
func (s *session) exec(ctx context.Context, x *tsql.Exec) error {
	if x.Text != nil {
		v, err := s.literal(ctx, x.Text, datatype.NVar(datatype.Max))
		if err != nil {
			return err
		}
		return s.nested(ctx, v.Text)
	}
	var args []argument
	for _, a := range x.Args {
		if a.Output {
			return &rewrite.Error{Number: rewrite.Refusal, Text: "the double does not implement OUTPUT arguments of EXEC"}
		}
		q, err := s.translator().Value(ctx, a.X, datatype.NVar(datatype.Max))
		if err != nil {
			return err
		}
		v, err := s.value(ctx, q)
		if err != nil {
			return err
		}
		args = append(args, argument{name: strings.ToLower(a.Name), value: v})
	}
	return s.procedure(ctx, x.Procedure, args)
}

// nested runs a text with variables of its own.
func (s *session) nested(ctx context.Context, text string) error {
	outer, tables := s.variables, s.tables.names
	s.variables, s.tables.names = map[string]rewrite.Variable{}, map[string]string{}
	s.nesting++
	defer func() {
		s.variables, s.tables.names = outer, tables
		s.nesting--
	}()
	return s.inScope(ctx, func() error { return s.runText(ctx, text) })
}

// procedure runs one of the few system procedures that the double knows.
func (s *session) procedure(ctx context.Context, name tsql.Name, args []argument) error {
	switch strings.ToLower(name.Last()) {
	case "sp_addextendedproperty", "sp_updateextendedproperty", "sp_dropextendedproperty":
		return s.property(ctx, strings.ToLower(name.Last()), args)
	case "sp_executesql":
		if len(args) == 1 {
			return s.nested(ctx, datatype.Load(args[0].value.Text))
		}
	}
	return &rewrite.Error{Number: rewrite.Refusal, Text: fmt.Sprintf("the double does not implement the procedure %s with %d arguments", strings.Join(name, "."), len(args))}
}

// propertyArgs are the arguments of the procedures of extended properties, in their order.
var propertyArgs = []string{"@name", "@value", "@level0type", "@level0name", "@level1type", "@level1name", "@level2type", "@level2name"}

// property adds, changes or removes an extended property of a table or a column.
func (s *session) property(ctx context.Context, procedure string, args []argument) error {
	order := propertyArgs
	if procedure == "sp_dropextendedproperty" {
		order = slices.Delete(slices.Clone(order), 1, 2)
	}
	given := map[string]datatype.Value{}
	for i, a := range args {
		if a.name == "" && i < len(order) {
			a.name = order[i]
		}
		if !slices.Contains(order, a.name) {
			return &rewrite.Error{Number: 8145, Text: fmt.Sprintf("%s is not a parameter for procedure %s.", a.name, procedure)}
		}
		given[a.name] = a.value
	}
	text := func(name string) string { return datatype.Load(given[name].Text) }
	if !strings.EqualFold(text("@level0type"), "SCHEMA") || !strings.EqualFold(text("@level1type"), "TABLE") && !strings.EqualFold(text("@level1type"), "VIEW") {
		return &rewrite.Error{Number: rewrite.Refusal, Text: "the double does not implement extended properties of anything but tables, views and their columns"}
	}
	t, err := (&catalog{s}).Table(ctx, tsql.Name{text("@level0name"), text("@level1name")})
	if err != nil {
		return err
	}
	minor := 0
	if t != nil && text("@level2type") != "" {
		i := slices.IndexFunc(t.Columns, func(c rewrite.Column) bool { return strings.EqualFold(c.Name, text("@level2name")) })
		if i < 0 || !strings.EqualFold(text("@level2type"), "COLUMN") {
			t = nil
		}
		minor = i + 1
	}
	if t == nil {
		return &rewrite.Error{Number: 15135, Text: fmt.Sprintf("Object is invalid. Extended properties are not permitted on '%s.%s', or the object does not exist.", text("@level0name"), text("@level1name"))}
	}
	if wire.Units(text("@value"))*2 > 7500 {
		return &rewrite.Error{Number: 15097, Text: "The size associated with an extended property cannot be more than 7,500 bytes."}
	}
	key := []datatype.Value{datatype.Of(fmt.Sprint(uint32(t.ID))), datatype.Of(fmt.Sprint(minor)), given["@name"]}
	return s.writeProperty(ctx, procedure, key, given["@value"], text("@name"))
}

func (s *session) writeProperty(ctx context.Context, procedure string, key []datatype.Value, value datatype.Value, name string) error {
	sql := map[string]string{
		"sp_addextendedproperty":    "INSERT INTO tds.properties VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING 1",
		"sp_updateextendedproperty": "UPDATE tds.properties SET value = $4 WHERE major = $1 AND minor = $2 AND name = $3 RETURNING 1",
		"sp_dropextendedproperty":   "DELETE FROM tds.properties WHERE major = $1 AND minor = $2 AND name = $3 RETURNING 1",
	}[procedure]
	if procedure != "sp_dropextendedproperty" {
		key = append(key, value)
	}
	return s.atomically(ctx, false, func() error {
		rows, err := s.rows(ctx, sql, key)
		switch {
		case err != nil:
			return err
		case len(rows) > 0:
			return nil
		case procedure == "sp_addextendedproperty":
			return &rewrite.Error{Number: 15233, Text: fmt.Sprintf("Property cannot be added. Property '%s' already exists.", name)}
		}
		return &rewrite.Error{Number: 15217, Text: fmt.Sprintf("Property cannot be updated or deleted. Property '%s' does not exist.", name)}
	})
}
