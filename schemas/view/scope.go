package view

import (
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"

	"github.com/etlsandbox/cdc/schemas/change"
)

// ref is a column of an input.
type ref struct{ input, col int }

// source is one table reference of FROM while the view is compiled.
type source struct {
	alias   string
	aliased bool
	table   *change.Table
	left    bool
	// on is the condition of a LEFT JOIN; inner conditions go to the pool.
	on []conjunct
	at int // byte offset of the table's name
	// qualified: the text names the database.
	qualified bool
}

// conjunct is one condition of an AND, with the inputs that its names may refer to.
type conjunct struct {
	expr   ast.ExprNode
	lo, hi int
	// join: an ON of an inner join, or WHERE's; pair is set for an equality that USING made.
	fromOn bool
	using  *columnPair
}

// columnPair is an equality of two columns.
type columnPair struct {
	a, b ref
	at   int
}

// scope resolves names and notes what is used.
type scope struct {
	sources []*source
	// merged columns of USING: the name means the left one.
	merged map[string]ref
	used   map[ref]bool
	// notNull columns cannot be NULL in a result: an inner equality holds them.
	notNull map[ref]bool
	// position of each source among the plan's inputs, once it is known.
	position []int
}

// resolve finds the column that a name means among the inputs lo..hi-1.
func (s *scope) resolve(name *ast.ColumnName, lo, hi int) (input, col int, err error) {
	input = -1
	for i := lo; i < hi; i++ {
		src := s.sources[i]
		if !src.answers(name) {
			continue
		}
		c := src.table.Column(name.Name.O)
		if c < 0 {
			continue
		}
		if input >= 0 {
			if m, ok := s.merged[name.Name.L]; ok && name.Table.O == "" {
				return m.input, m.col, nil
			}
			return 0, 0, refuse("write "+s.sources[input].alias+"."+name.Name.O+" or "+src.alias+"."+name.Name.O,
				"column %s is ambiguous", name.Name.O)
		}
		input, col = i, c
	}
	if input < 0 {
		return 0, 0, s.unknown(name, lo, hi)
	}
	return input, col, nil
}

// answers reports whether a (possibly qualified) name may mean a column of the source.
func (src *source) answers(name *ast.ColumnName) bool {
	if name.Table.O == "" {
		return true
	}
	if name.Schema.O != "" && (src.aliased || name.Schema.O != src.table.ID.DB) {
		return false
	}
	return name.Table.O == src.alias
}

func (s *scope) unknown(name *ast.ColumnName, lo, hi int) error {
	full := name.Name.O
	if name.Table.O != "" {
		full = name.Table.O + "." + full
	}
	for i, src := range s.sources {
		if src.table.Column(name.Name.O) >= 0 && (name.Table.O == "" || strings.EqualFold(name.Table.O, src.alias)) {
			if i < lo || i >= hi {
				return refuse("join "+src.alias+" before it is used", "column %s is not known here yet", full)
			}
			return refuse("write "+src.alias+"."+name.Name.O, "column %s is not known (aliases are case-sensitive)", full)
		}
	}
	for _, src := range s.sources[lo:hi] {
		if src.alias == name.Table.O {
			return refuse("its columns are "+columnNames(src.table), "table %s has no column %s", src.table.ID, name.Name.O)
		}
	}
	return refuse("the tables here are "+s.aliases(lo, hi), "column %s is not known", full)
}

func columnNames(t *change.Table) string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	return strings.Join(names, ", ")
}

func (s *scope) aliases(lo, hi int) string {
	var names []string
	for _, src := range s.sources[lo:hi] {
		names = append(names, src.alias)
	}
	return strings.Join(names, ", ")
}

// columnNode makes the expression of a column and notes that it is used.
func (s *scope) columnNode(input, col int) *column {
	src := s.sources[input]
	c := src.table.Columns[col]
	s.used[ref{input, col}] = true
	out := base{typ: c.Type, class: classOf(c.Type), text: quoteName(src.alias) + "." + quoteName(c.Name), der: derNumeric, ascii: true}
	out.unsigned = c.Type.Unsigned
	out.null = (c.Nullable || src.left) && !s.notNull[ref{input, col}]
	switch out.class {
	case classInt, classUint:
		out.digits = intDigits(c.Type)
	case classDecimal:
		out.digits = c.Type.Precision - c.Type.Scale
	case classString, classEnum, classBytes:
		out.der, out.ascii = derImplicit, false
	}
	return &column{out, input, col, src.alias + "." + c.Name}
}

// quoteName quotes an identifier where SQL needs it.
func quoteName(s string) string {
	return "`" + strings.ReplaceAll(s, "`", "``") + "`"
}
