package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/etlsandbox/cdc/internal/config"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/view"
)

func (a *app) viewCommand() *cobra.Command {
	return section("view", "List, check and explain views", "  cdc view list\n  cdc view check schemas/views/customer_order_flat.sql",
		a.viewList(), a.viewCheck(), a.viewExplain())
}

// compileViews compiles files, or all of the configured folder.
func (a *app) compileViews(ctx context.Context, files ...string) (*config.Config, []compiled, error) {
	c, err := a.loadConfig()
	if err != nil {
		return nil, nil, err
	}
	if len(files) == 0 {
		if files, err = viewFiles(c); err != nil {
			return nil, nil, err
		}
		if len(files) == 0 {
			return c, nil, nil
		}
	}
	ctx, cancel := a.brief(ctx)
	defer cancel()
	views, err := a.deps.compile(ctx, c, files)
	return c, views, err
}

// viewSummary is one view in the JSON of list and check.
type viewSummary struct {
	File    string   `json:"file"`
	Name    string   `json:"name,omitempty"`
	Key     []string `json:"key,omitempty"`
	Columns []string `json:"columns,omitempty"`
	Tables  []string `json:"tables,omitempty"`
	Hash    string   `json:"hash,omitempty"`
	Sinks   []string `json:"sinks,omitempty"`
	Error   string   `json:"error,omitempty"`
}

func summarize(c *config.Config, v compiled) viewSummary {
	s := viewSummary{File: v.File}
	if v.Err != nil {
		s.Error = v.Err.Error()
		return s
	}
	s.Name, s.Hash, s.Key = v.Plan.Name, v.Plan.Hash, keyNames(v.Plan.Output)
	for _, col := range v.Plan.Output.Columns {
		s.Columns = append(s.Columns, col.Name)
	}
	seen := map[string]bool{}
	for _, in := range v.Plan.Inputs {
		if id := in.Table.ID.String(); !seen[id] {
			seen[id] = true
			s.Tables = append(s.Tables, id)
		}
	}
	s.Sinks = sinksOf(c, v.Plan.Name)
	return s
}

func (a *app) viewList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the views with their keys and where they are delivered",
		Example: "  cdc view list\n  cdc view list --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, views, err := a.compileViews(cmd.Context())
			if err != nil {
				return err
			}
			out := []viewSummary{}
			for _, v := range views {
				out = append(out, summarize(c, v))
			}
			if a.json {
				return a.printJSON(out)
			}
			if len(out) == 0 {
				a.say("no view in %s: write one as NAME.sql, such as `cdc init` does", c.Views.Dir)
				return nil
			}
			a.listViews(out)
			return nil
		},
	}
}

func (a *app) listViews(views []viewSummary) {
	if a.quiet {
		return
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "VIEW\tFILE\tKEY\tTABLES\tSINKS")
	for _, v := range views {
		name := v.Name
		if v.Error != "" {
			name = "(does not compile)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", name, filepath.Base(v.File), strings.Join(v.Key, ", "), len(v.Tables), orNone(strings.Join(v.Sinks, ", ")))
	}
	w.Flush()
	for _, v := range views {
		if v.Error != "" {
			a.say("%s", v.Error)
		}
	}
}

func (a *app) viewCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Compile a view file against the source's tables",
		Long: `Compile a view file against the tables of the configured source. What is outside the supported SQL is reported with
line, column, the reason and the way out. Exit status 1 when the view does not compile.`,
		Example: "  cdc view check schemas/views/customer_order_flat.sql\n  cdc view check new.sql --json",
		Args:    exactArgs("a file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, views, err := a.compileViews(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			v := views[0]
			var reason *view.Error
			if v.Err != nil && !errors.As(v.Err, &reason) {
				return v.Err // not about the view's SQL
			}
			if a.json {
				if err := a.printJSON(summarize(c, v)); err != nil {
					return err
				}
			} else if v.Err == nil {
				a.say("%s: view %s compiles; a row is identified by %s", args[0], v.Plan.Name, strings.Join(keyNames(v.Plan.Output), ", "))
			}
			if v.Err != nil {
				if !a.json {
					fmt.Fprintln(a.stderr, v.Err)
				}
				return answerNo()
			}
			return nil
		},
	}
}

func (a *app) viewExplain() *cobra.Command {
	return &cobra.Command{
		Use:     "explain VIEW",
		Short:   "Show how a view is kept up to date: key, tables, indexes, SQL",
		Example: "  cdc view explain CustomerOrderFlat\n  cdc view explain CustomerOrderFlat --json",
		Args:    exactArgs("a view"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, views, err := a.compileViews(cmd.Context())
			if err != nil {
				return err
			}
			var names []string
			for _, v := range views {
				if v.Err != nil {
					fmt.Fprintln(a.stderr, v.Err)
					continue
				}
				if v.Plan.Name == args[0] {
					if a.json {
						return a.printJSON(summarize(c, v))
					}
					a.say("%s", explainView(c, v))
					return nil
				}
				names = append(names, v.Plan.Name)
			}
			return fmt.Errorf("no view %s in %s (views: %s)", args[0], c.Views.Dir, orNone(strings.Join(names, ", ")))
		},
	}
}

// explainView says in words how a view is kept up to date.
func explainView(c *config.Config, v compiled) string {
	p := v.Plan
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s\n\n", p.Name, v.File)
	fmt.Fprintf(&b, "A row is identified by %s", strings.Join(keyNames(p.Output), ", "))
	if p.Hidden > 0 {
		var hidden []string
		for _, col := range p.Output.Columns[len(p.Output.Columns)-p.Hidden:] {
			hidden = append(hidden, col.Name)
		}
		fmt.Fprintf(&b, ";\n%s is not in the SELECT list and was added for that", strings.Join(hidden, ", "))
	}
	b.WriteString(".\n\nColumns:\n")
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for i, col := range p.Output.Columns {
		null := "NOT NULL"
		if col.Nullable {
			null = ""
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", col.Name, sqlType(col.Type), null, p.Select[i])
	}
	w.Flush()
	b.WriteString("\nTables, in the order of the join:\n")
	for i, in := range p.Inputs {
		explainInput(&b, p, i, in)
	}
	if p.Where != nil {
		fmt.Fprintf(&b, "\nJoined rows are kept if %s.\n", p.Where)
	}
	explainCascades(&b, v)
	fmt.Fprintf(&b, "\nDelivered to: %s\n", orNone(strings.Join(sinksOf(c, p.Name), ", ")))
	fmt.Fprintf(&b, "\nThe source is asked, for verification:\n%s\n\nDefinition %s", p.SQL, p.Hash)
	return b.String()
}

func explainInput(b *strings.Builder, p *view.Plan, i int, in view.Input) {
	kind := "from"
	if i > 0 {
		kind = "join"
	}
	if in.Left {
		kind = "left join"
	}
	fmt.Fprintf(b, "  %-9s %s", kind, in.Table.ID)
	if in.Alias != in.Table.ID.Name {
		fmt.Fprintf(b, " as %s", in.Alias)
	}
	if in.Parent >= 0 {
		parent := p.Inputs[in.Parent]
		var on, index []string
		for _, e := range in.On {
			on = append(on, fmt.Sprintf("%s.%s = %s.%s", in.Alias, in.Table.Columns[e.Column].Name, parent.Alias, parent.Table.Columns[e.ParentColumn].Name))
			index = append(index, in.Table.Columns[e.Column].Name)
		}
		fmt.Fprintf(b, " on %s; found by (%s)", strings.Join(on, " and "), strings.Join(index, ", "))
	}
	if in.OnFilter != nil {
		fmt.Fprintf(b, "; only if %s", in.OnFilter)
	}
	if in.Filter != nil {
		fmt.Fprintf(b, "; only rows with %s", in.Filter)
	}
	var cols []string
	for _, c := range in.Columns {
		cols = append(cols, in.Table.Columns[c].Name)
	}
	fmt.Fprintf(b, "\n            keeps %d of %d columns: %s\n", len(cols), len(in.Table.Columns), strings.Join(cols, ", "))
}

func explainCascades(b *strings.Builder, v compiled) {
	if len(v.Cascades) == 0 {
		return
	}
	b.WriteString("\nForeign keys whose actions the source performs without logging them:\n")
	for _, c := range v.Cascades {
		what := "performed here too"
		if !c.Handled {
			what = fmt.Sprintf("NOT followed: %s; `cdc resync %s` mends its rows", c.Reason, c.Child)
		}
		fmt.Fprintf(b, "  %s.%s -> %s: %s\n", c.Child, c.Key, c.Parent, what)
	}
}

func keyNames(t *change.Table) []string {
	names := make([]string, len(t.Key))
	for i, k := range t.Key {
		names[i] = t.Columns[k].Name
	}
	return names
}

func sinksOf(c *config.Config, name string) []string {
	var out []string
	for _, sink := range sortedNames(c.Sinks) {
		for _, d := range c.Sinks[sink].Deliver {
			if strings.EqualFold(d.From.View, name) {
				out = append(out, sink)
				break
			}
		}
	}
	return out
}

func sqlType(t change.Type) string {
	s := t.Name
	switch {
	case t.Kind == change.Decimal:
		s = fmt.Sprintf("%s(%d,%d)", s, t.Precision, t.Scale)
	case t.Length > 0:
		s = fmt.Sprintf("%s(%d)", s, t.Length)
	}
	if t.Unsigned {
		s += " unsigned"
	}
	return s
}
