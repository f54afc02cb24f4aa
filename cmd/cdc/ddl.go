package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/etlsandbox/cdc/schemas/view"
	"github.com/etlsandbox/cdc/sinks"
	"github.com/etlsandbox/cdc/sinks/clickhouse"
	"github.com/etlsandbox/cdc/sinks/postgres"
	"github.com/etlsandbox/cdc/sinks/sqlserver"
)

// ddlDialects are the words of --dialect.
const ddlDialects = "clickhouse, postgres or sqlserver"

func (a *app) ddlCommand() *cobra.Command {
	var dialect, schema, to, identity string
	var soft bool
	c := &cobra.Command{
		Use:   "ddl VIEW",
		Short: "Print the statements that make a view's table at a destination",
		Long: `Print the statements with which a sink would make the table of a view, in the dialect of a kind of destination. The view is
compiled against the tables of the configured source; no destination is asked.`,
		Example: "  cdc ddl CustomerOrderFlat --dialect sqlserver\n  cdc ddl CustomerOrderFlat --dialect clickhouse --to orders --soft",
		Args:    exactArgs("a view"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if dialect == "" {
				return fmt.Errorf("--dialect is missing: give %s", ddlDialects)
			}
			plan, err := a.planOf(cmd, args[0])
			if err != nil {
				return err
			}
			t := sinks.Target{From: plan.Output.ID.String(), Table: plan.Output, To: to, Soft: soft, Identity: identity}
			if to == "" {
				t.To = plan.Output.ID.Name
			}
			texts, err := ddlOf(dialect, t, schema)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(texts)
			}
			a.say("%s;", strings.Join(texts, ";\n\n"))
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&dialect, "dialect", "", ddlDialects)
	f.StringVar(&schema, "schema", "", "schema, in clickhouse the database (default public, dbo or default)")
	f.StringVar(&to, "to", "", "name of the table (default the view's)")
	f.StringVar(&identity, "identity", "", "name of a surrogate column that the destination numbers")
	f.BoolVar(&soft, "soft", false, "with the column that marks deleted rows")
	return c
}

// planOf compiles one view by its name.
func (a *app) planOf(cmd *cobra.Command, name string) (*view.Plan, error) {
	c, views, err := a.compileViews(cmd.Context())
	if err != nil {
		return nil, err
	}
	var names []string
	for _, v := range views {
		switch {
		case v.Err == nil && strings.EqualFold(v.Plan.Name, name):
			return v.Plan, nil
		case v.Err == nil:
			names = append(names, v.Plan.Name)
		case strings.Contains(strings.ToLower(v.File), strings.ToLower(name)):
			return nil, v.Err
		}
	}
	return nil, fmt.Errorf("there is no view %q in %s: it has %s", name, c.Views.Dir, orNone(strings.Join(names, ", ")))
}

// ddlOf renders a target's table in a dialect.
func ddlOf(dialect string, t sinks.Target, schema string) ([]string, error) {
	switch dialect {
	case "postgres":
		text, err := postgres.DDL(t, schema)
		return []string{text}, err
	case "sqlserver":
		text, err := sqlserver.DDL(t, schema)
		return []string{text}, err
	case "clickhouse":
		return clickhouse.DDL(t, schema)
	}
	return nil, fmt.Errorf("--dialect is %q: give %s", dialect, ddlDialects)
}
