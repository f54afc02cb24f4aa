package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/etlsandbox/cdc/internal/config"
	"github.com/etlsandbox/cdc/schemas/view"
	"github.com/etlsandbox/cdc/sinks"
	"github.com/etlsandbox/cdc/sinks/clickhouse"
	"github.com/etlsandbox/cdc/sinks/postgres"
	"github.com/etlsandbox/cdc/sinks/sqlserver"
)

// ddlDialects are the words of --dialect.
const ddlDialects = "clickhouse, postgres or sqlserver"

func (a *app) ddlCommand() *cobra.Command {
	var o ddlOptions
	c := &cobra.Command{
		Use:   "ddl VIEW",
		Short: "Print the statements that make a view's table at a destination",
		Long: `Print the statements with which a sink would make the table of a view: as a sink of the configuration delivers it, with its
names and extra columns, or in the dialect of a kind of destination. The view is compiled against the tables of the
configured source; no destination is asked.`,
		Example: "  cdc ddl CustomerOrderFlat --sink neptune\n  cdc ddl CustomerOrderFlat --dialect clickhouse --to orders --soft",
		Args:    exactArgs("a view"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.dialect == "" && o.sink == "" {
				return fmt.Errorf("--dialect is missing: give %s, or name a sink of the configuration with --sink", ddlDialects)
			}
			plan, err := a.planOf(cmd, args[0])
			if err != nil {
				return err
			}
			w := o.wanted(plan)
			if o.sink != "" {
				c, err := a.loadConfig()
				if err != nil {
					return err
				}
				if w, err = wantedBy(c, o.sink, plan); err != nil {
					return err
				}
			}
			texts, err := w.texts()
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(texts)
			}
			for i, text := range texts {
				texts[i] = strings.TrimSuffix(text, ";") + ";"
			}
			a.say("%s", strings.Join(texts, "\n\n"))
			return nil
		},
	}
	o.flags(c)
	return c
}

// ddlOptions are the flags of cdc ddl.
type ddlOptions struct {
	sink, dialect, schema, to, identity string
	soft                                bool
}

func (o *ddlOptions) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.sink, "sink", "", "as this sink delivers the view")
	f.StringVar(&o.dialect, "dialect", "", ddlDialects)
	f.StringVar(&o.schema, "schema", "", "schema, in clickhouse the database (default public, dbo or default)")
	f.StringVar(&o.to, "to", "", "name of the table (default the view's)")
	f.StringVar(&o.identity, "identity", "", "name of a surrogate column that the destination numbers")
	f.BoolVar(&o.soft, "soft", false, "with the column that marks deleted rows")
	for _, other := range []string{"dialect", "schema", "to", "identity", "soft"} {
		c.MarkFlagsMutuallyExclusive("sink", other)
	}
}

// wantedTable is a table whose statements are asked for.
type wantedTable struct {
	dialect, schema string
	target          sinks.Target
	// settings are ClickHouse's.
	settings clickhouse.TableSettings
}

// wanted is what the flags say without a sink.
func (o *ddlOptions) wanted(plan *view.Plan) wantedTable {
	w := wantedTable{dialect: o.dialect, schema: o.schema,
		target: sinks.Target{From: plan.Output.ID.String(), Table: plan.Output, To: o.to, Soft: o.soft, Identity: o.identity}}
	if o.to == "" {
		w.target.To = plan.Output.ID.Name
	}
	return w
}

// wantedBy is the table that a sink makes of a view.
func wantedBy(c *config.Config, sink string, plan *view.Plan) (w wantedTable, err error) {
	s, ok := c.Sinks[sink]
	if !ok {
		return w, fmt.Errorf("there is no sink %q: the configuration has %s", sink, orNone(strings.Join(sortedNames(c.Sinks), ", ")))
	}
	i := slices.IndexFunc(s.Deliver, func(d config.Deliver) bool { return strings.EqualFold(d.From.View, plan.Name) })
	if i < 0 {
		return w, fmt.Errorf("sink %s does not deliver view %s: name it in sinks.%[1]s.deliver, or give --dialect", sink, plan.Name)
	}
	w = wantedTable{dialect: s.Type, schema: s.Schema}
	if w.dialect == "clickhouse" {
		w.schema = s.Database
	}
	if w.target, err = spelled(&s, target(&s, s.Deliver[i], plan.Output)); err != nil {
		return w, err
	}
	w.settings = tableSettings(&s)[w.target.To]
	return w, nil
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

// texts are the statements, in the table's dialect.
func (w wantedTable) texts() ([]string, error) {
	switch w.dialect {
	case "postgres":
		text, err := postgres.DDL(w.target, w.schema)
		return []string{text}, err
	case "sqlserver":
		text, err := sqlserver.DDL(w.target, w.schema)
		return []string{text}, err
	case "clickhouse":
		return clickhouse.DDL(w.target, w.schema, w.settings)
	}
	return nil, fmt.Errorf("--dialect is %q: give %s", w.dialect, ddlDialects)
}
