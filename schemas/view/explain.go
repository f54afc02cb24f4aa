package view

import (
	"fmt"
	"slices"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Explain describes a plan for people: how the tables are joined, what is kept of each, which columns
// identify a row of the view and why, and which foreign keys change rows without the server logging it.
func Explain(p *Plan) string {
	var b strings.Builder
	fmt.Fprintf(&b, "view %s (definition %.12s)\n", p.Name, p.Hash)
	b.WriteString("join order\n")
	for i, in := range p.Inputs {
		fmt.Fprintf(&b, "  %d. %s\n", i+1, explainInput(p, i))
		for _, line := range explainConditions(in) {
			fmt.Fprintf(&b, "       %s\n", line)
		}
	}
	if p.Where != nil {
		fmt.Fprintf(&b, "filter of joined rows\n  %s\n", p.Where)
	}
	b.WriteString("output key\n")
	for i, k := range p.Output.Key {
		c := p.Output.Columns[k]
		null := ""
		if c.Nullable {
			null = ", may be NULL (and then NULL equals NULL)"
		}
		fmt.Fprintf(&b, "  %s = %s: %s%s\n", c.Name, p.Select[k], p.keyReasons[i], null)
	}
	if p.Hidden > 0 {
		b.WriteString("hidden columns, added because the key needs them\n")
		for i := len(p.Select) - p.Hidden; i < len(p.Select); i++ {
			fmt.Fprintf(&b, "  %s = %s\n", p.Output.Columns[i].Name, p.Select[i])
		}
	}
	b.WriteString("output columns\n")
	for _, c := range p.Output.Columns[:len(p.Output.Columns)-p.Hidden] {
		fmt.Fprintf(&b, "  %s %s%s\n", c.Name, typeName(c.Type), map[bool]string{true: "", false: " NOT NULL"}[c.Nullable])
	}
	explainState(&b, p)
	explainForeignKeys(&b, p)
	return b.String()
}

func explainInput(p *Plan, i int) string {
	in := p.Inputs[i]
	name := in.Table.ID.String()
	if in.Alias != in.Table.ID.Name {
		name += " AS " + in.Alias
	}
	if in.Parent < 0 {
		return name
	}
	parent := p.Inputs[in.Parent]
	pairs := make([]string, len(in.On))
	for k, e := range in.On {
		pairs[k] = fmt.Sprintf("%s.%s = %s.%s", parent.Alias, parent.Table.Columns[e.ParentColumn].Name, in.Alias, in.Table.Columns[e.Column].Name)
		if e.As != CompareSame {
			pairs[k] += " (" + e.As.String() + ")"
		}
	}
	word := "JOIN "
	if in.Left {
		word = "LEFT JOIN "
	}
	return word + name + " ON " + strings.Join(pairs, " AND ") + lookup(in)
}

// lookup says how many rows of the input join one row of its parent.
func lookup(in Input) string {
	for _, k := range in.Table.Key {
		if !slices.ContainsFunc(in.On, func(e Equality) bool { return e.Column == k && e.tellsApart(in.Table) }) {
			return ": many rows, through an index on " + onColumns(in)
		}
	}
	return ": one row, by its key"
}

func onColumns(in Input) string {
	names := make([]string, len(in.On))
	for i, e := range in.On {
		names[i] = in.Table.Columns[e.Column].Name
	}
	return strings.Join(names, ", ")
}

func explainConditions(in Input) []string {
	var out []string
	if in.OnFilter != nil {
		out = append(out, "matches only where "+in.OnFilter.String())
	}
	if in.Filter != nil {
		out = append(out, "reads only rows where "+in.Filter.String())
	}
	return out
}

// tablesOf returns the distinct tables of a plan and the columns that it reads of each.
func tablesOf(p *Plan) (tables []*change.Table, columns map[*change.Table][]int) {
	columns = map[*change.Table][]int{}
	for _, in := range p.Inputs {
		if _, ok := columns[in.Table]; !ok {
			tables = append(tables, in.Table)
		}
		columns[in.Table] = append(columns[in.Table], in.Columns...)
	}
	for t, cols := range columns {
		slices.Sort(cols)
		columns[t] = slices.Compact(cols)
	}
	return tables, columns
}

func explainState(b *strings.Builder, p *Plan) {
	b.WriteString("columns kept of each table\n")
	tables, columns := tablesOf(p)
	for _, t := range tables {
		names := make([]string, 0, len(columns[t]))
		for _, c := range columns[t] {
			names = append(names, t.Columns[c].Name)
		}
		fmt.Fprintf(b, "  %s: %s (%d of %d)\n", t.ID, strings.Join(names, ", "), len(names), len(t.Columns))
	}
}

// Unlogged is a foreign key whose actions change rows that a view reads without the server logging it.
type Unlogged struct {
	Table *change.Table
	Key   change.ForeignKey
	// Columns that the view reads and that an action changes; none if rows only vanish.
	Columns []string
	// Deletes: rows of Table vanish with their parent.
	Deletes bool
}

// UnloggedKeys lists the foreign keys of a plan's tables whose actions the server does not log and that
// can change what the view shows.
func UnloggedKeys(p *Plan) []Unlogged {
	var out []Unlogged
	tables, columns := tablesOf(p)
	for _, t := range tables {
		for _, fk := range t.ForeignKeys {
			if fk.Logged || fk.OnDelete == change.NoAction && fk.OnUpdate == change.NoAction {
				continue
			}
			u := Unlogged{Table: t, Key: fk, Deletes: fk.OnDelete == change.Cascade}
			for _, name := range fk.Columns {
				if slices.Contains(columns[t], t.Column(name)) && (fk.OnUpdate != change.NoAction || fk.OnDelete == change.SetNull) {
					u.Columns = append(u.Columns, name)
				}
			}
			if u.Deletes || len(u.Columns) > 0 {
				out = append(out, u)
			}
		}
	}
	return out
}

var actionNames = [...]string{change.NoAction: "NO ACTION", change.Cascade: "CASCADE", change.SetNull: "SET NULL"}

func explainForeignKeys(b *strings.Builder, p *Plan) {
	keys := UnloggedKeys(p)
	if len(keys) == 0 {
		return
	}
	b.WriteString("foreign keys whose actions the server does not log\n")
	for _, u := range keys {
		fmt.Fprintf(b, "  %s.%s -> %s ON DELETE %s ON UPDATE %s", u.Table.ID, strings.Join(u.Key.Columns, ", "), u.Key.Parent,
			actionNames[u.Key.OnDelete], actionNames[u.Key.OnUpdate])
		if len(u.Columns) > 0 {
			fmt.Fprintf(b, ": changes %s", strings.Join(u.Columns, ", "))
		}
		if u.Deletes {
			b.WriteString(": rows vanish with their parent")
		}
		b.WriteByte('\n')
	}
}

// typeName prints a type as SQL would declare it.
func typeName(t change.Type) string {
	s := t.Name
	switch {
	case t.Kind == change.Decimal:
		s += fmt.Sprintf("(%d,%d)", t.Precision, t.Scale)
	case t.Kind == change.Time || t.Kind == change.Datetime || t.Kind == change.Timestamp:
		if t.Scale > 0 {
			s += fmt.Sprintf("(%d)", t.Scale)
		}
	case t.Length > 0:
		s += fmt.Sprintf("(%d)", t.Length)
	}
	if t.Unsigned {
		s += " unsigned"
	}
	if t.Kind == change.String && t.Collation != "" {
		s += " " + t.Collation
	}
	return s
}
