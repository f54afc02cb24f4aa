package view

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pingcap/tidb/pkg/parser"
	"github.com/pingcap/tidb/pkg/parser/ast"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Catalog knows the source's tables.
type Catalog interface {
	// Table returns the shape of a table; a name without database is in the source's default database.
	Table(name change.TableID) (*change.Table, error)
}

// Compile compiles the text of a view's file: one CREATE VIEW NAME AS SELECT. An error is an *Error with
// the place, the reason and the way out, or what the catalog says of a table.
func Compile(file, sql string, cat Catalog) (*Plan, error) {
	return compile(file, sql, cat, provenSignatures(), nil)
}

// compile is Compile with the proven signatures given (nil: everything that is built), noting in used
// (if not nil) what the view needs.
func compile(file, sql string, cat Catalog, allowed, used map[string]bool) (*Plan, error) {
	c := &compiler{src: sql, cat: cat, allowed: allowed, used: used}
	p, err := c.run(file)
	if err == nil {
		return p, nil
	}
	var f *failure
	if !errors.As(err, &f) {
		return nil, fmt.Errorf("compile view %s: %w", file, err)
	}
	line, column := place(sql, f.offset)
	return nil, &Error{File: file, Line: line, Column: column, Reason: f.reason, WayOut: f.wayOut}
}

// place turns a byte offset into a line and a column, both from 1.
func place(sql string, offset int) (line, column int) {
	offset = max(0, min(offset, len(sql)))
	for offset > 0 && offset < len(sql) && !utf8.RuneStart(sql[offset]) {
		offset-- // the parser counts bytes
	}
	before := sql[:offset]
	start := strings.LastIndexByte(before, '\n') + 1
	return strings.Count(before, "\n") + 1, utf8.RuneCountInString(before[start:]) + 1
}

// compiler holds what one compilation knows.
type compiler struct {
	src     string
	cat     Catalog
	allowed map[string]bool
	used    map[string]bool
	layout  layout
	scope   *scope
	pool    []conjunct // conditions of inner joins and of WHERE
	plan    *Plan
	// where holds the conditions that stayed in Where, one by one.
	where []node
	// edges between inner inputs
	edges []edge
	// hidden columns as SQL
	hidden []string
}

func (c *compiler) run(file string) (*Plan, error) {
	if !utf8.ValidString(c.src) {
		return nil, refuseAt(0, "save it as UTF-8", "the file is not UTF-8 text")
	}
	stmt, sel, err := c.parse()
	if err != nil {
		return nil, err
	}
	if c.layout, err = readLayout(c.src); err != nil {
		return nil, err
	}
	name := stmt.ViewName.Name.O
	if err := checkNames(file, stmt); err != nil {
		return nil, err
	}
	if err := checkSelect(sel); err != nil {
		return nil, refuseIn(err, c.layout.selectAt)
	}
	c.scope = &scope{merged: map[string]ref{}, used: map[ref]bool{}, notNull: map[ref]bool{}}
	if sel.From == nil {
		return nil, refuseAt(c.layout.selectAt, "name the tables", "the SELECT reads no table")
	}
	if _, err := c.from(sel.From.TableRefs); err != nil {
		return nil, err
	}
	c.addConjuncts(sel.Where, 0, len(c.scope.sources), false)
	c.plan = &Plan{Name: name}
	if err := c.join(); err != nil {
		return nil, err
	}
	if err := c.selectList(sel); err != nil {
		return nil, err
	}
	return c.finish(), nil
}

// refuseIn gives a failure without a place this one.
func refuseIn(err error, offset int) error {
	var f *failure
	if errors.As(err, &f) && f.offset < 0 {
		f.offset = offset
	}
	return err
}

var parserPlace = regexp.MustCompile(`^line (\d+) column (\d+) near "`)

func (c *compiler) parse() (*ast.CreateViewStmt, *ast.SelectStmt, error) {
	stmts, err := parseSQL(c.src)
	if err != nil {
		return nil, nil, c.syntax(err)
	}
	if len(stmts) != 1 {
		return nil, nil, refuseAt(0, "one file holds one view", "the file holds %d statements", len(stmts))
	}
	create, ok := stmts[0].(*ast.CreateViewStmt)
	if !ok {
		return nil, nil, refuseAt(0, "write CREATE VIEW name AS SELECT ...", "the file does not hold a CREATE VIEW")
	}
	switch sel := create.Select.(type) {
	case *ast.SelectStmt:
		return create, sel, nil
	case *ast.SetOprStmt:
		return nil, nil, refuseAt(c.find("union", "except", "intersect"), "make a view of each part", "UNION, EXCEPT and INTERSECT are not supported")
	}
	return nil, nil, refuseAt(0, "write CREATE VIEW name AS SELECT ...", "the view is not a SELECT")
}

// parseSQL parses a text. The parser's literals panic where a number has more digits than a server's
// DECIMAL holds.
func parseSQL(text string) (stmts []ast.StmtNode, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = refuseAt(0, "write shorter numbers", "a literal of the text cannot be read")
		}
	}()
	stmts, _, err = parser.New().ParseSQL(text)
	return stmts, err
}

func (c *compiler) syntax(err error) error {
	var f *failure
	if errors.As(err, &f) {
		return err
	}
	m := parserPlace.FindStringSubmatch(err.Error())
	if m == nil {
		return refuseAt(0, "", "%s", err)
	}
	line, _ := strconv.Atoi(m[1])
	col, _ := strconv.Atoi(m[2])
	offset := 0
	for l := 1; l < line; l++ {
		next := strings.IndexByte(c.src[offset:], '\n')
		if next < 0 {
			break
		}
		offset += next + 1
	}
	return refuseAt(offset+max(col-1, 0), "write CREATE VIEW name AS SELECT ... in MySQL's dialect", "the text does not parse here")
}

// find returns the offset of the first of some keywords, or 0.
func (c *compiler) find(words ...string) int {
	for _, t := range tokens(c.src) {
		for _, w := range words {
			if t.is(w) {
				return t.at
			}
		}
	}
	return 0
}

var viewName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,62}$`)

// checkNames holds the rules of names: the view's is a topic's and a table's name elsewhere, and the
// file's says which view it holds.
func checkNames(file string, stmt *ast.CreateViewStmt) error {
	name := stmt.ViewName.Name.O
	at := func(wayOut, format string, args ...any) error { return refuseAt(0, wayOut, format, args...) }
	switch {
	case stmt.ViewName.Schema.O != "":
		return at("CREATE VIEW "+name+" AS ...", "a view has no database")
	case !viewName.MatchString(name):
		return at("a letter, then up to 62 letters, digits and underscores", "the view's name %q cannot be a topic and a table elsewhere", name)
	case strings.EqualFold(name, "progress") || strings.EqualFold(name, "meta"):
		return at("choose another name", "the name %s belongs to the stream's own topic", name)
	case strings.HasPrefix(strings.ToLower(name), "cdc_"):
		return at("choose another name", "names that begin with cdc_ belong to the product's own tables")
	case stmt.OrReplace:
		return at("CREATE VIEW "+name+" AS ...", "OR REPLACE means nothing here: the file is the definition")
	case len(stmt.Cols) > 0:
		return at("name columns with AS in the SELECT list", "a column list after the view's name is not supported")
	case stmt.CheckOption != ast.CheckOptionCascaded:
		return at("leave it out", "WITH CHECK OPTION means nothing here: the view is read-only")
	}
	if !Names(file, name) {
		return at(fmt.Sprintf("call the file %s.sql, or the view after the file", name),
			"the file %s holds a view called %s", filepath.Base(file), name)
	}
	return nil
}

// Names reports whether a file's name is that of a view: letter case and underscores aside.
func Names(file, name string) bool {
	return plainName(strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))) == plainName(name)
}

// plainName is a name without letter case and underscores: customer_order and CustomerOrder are one.
func plainName(s string) string { return strings.ToLower(strings.ReplaceAll(s, "_", "")) }

// checkSelect refuses the clauses that are outside the surface.
func checkSelect(sel *ast.SelectStmt) error {
	switch {
	case sel.Kind != ast.SelectStmtKindSelect:
		return refuse("write SELECT", "TABLE and VALUES are not supported")
	case sel.SelectStmtOpts != nil && hasModifier(sel.SelectStmtOpts):
		return refuse("leave it out", "modifiers of SELECT mean nothing here")
	case sel.With != nil:
		return refuse("write the tables in FROM", "WITH is not supported")
	case sel.Distinct:
		return refuse("leave it out: the view's key tells its rows apart", "DISTINCT is not supported")
	case sel.GroupBy != nil:
		return refuse("aggregate where the rows are read", "GROUP BY is not supported")
	case sel.Having != nil:
		return refuse("use WHERE", "HAVING is not supported")
	case sel.OrderBy != nil:
		return refuse("leave it out: the rows of a view have no order", "ORDER BY is not supported")
	case sel.Limit != nil:
		return refuse("use WHERE", "LIMIT is not supported: which rows it keeps is not fixed")
	case len(sel.WindowSpecs) > 0:
		return refuse("leave it out", "WINDOW is not supported")
	case sel.LockInfo != nil || sel.SelectIntoOpt != nil:
		return refuse("leave it out", "locks and INTO are not supported")
	case sel.IsInBraces:
		return refuse("leave the parentheses out", "a SELECT in parentheses is not supported")
	case len(sel.TableHints) > 0:
		return refuse("leave them out", "hints mean nothing here")
	}
	return nil
}

func hasModifier(o *ast.SelectStmtOpts) bool {
	return o.SQLBigResult || o.SQLBufferResult || o.SQLSmallResult || o.CalcFoundRows || o.StraightJoin || !o.SQLCache || o.Priority != 0
}

// selectList compiles the output columns, infers the key and adds hidden key columns.
func (c *compiler) selectList(sel *ast.SelectStmt) error {
	b := c.builder(0, len(c.scope.sources))
	out := &change.Table{ID: change.TableID{Name: c.plan.Name}}
	for _, f := range sel.Fields.Fields {
		if f.WildCard != nil {
			return refuseAt(c.layout.starAt(f), "name the columns", "SELECT * is not supported: a new column would change the view")
		}
		n, err := b.build(f.Expr)
		if err != nil {
			return err
		}
		name := f.AsName.O
		if name == "" {
			col, ok := unwrapParens(f.Expr).(*ast.ColumnNameExpr)
			if !ok {
				return refuseAt(f.Expr.OriginTextPosition(), "write ... AS name", "the expression has no name")
			}
			name = col.Name.Name.O
		}
		if n.info().class == classNull {
			return refuseAt(f.Expr.OriginTextPosition(), "CAST(NULL AS SIGNED), AS DECIMAL(p,s) or AS CHAR", "the column %s has no type", name)
		}
		if !utf8.ValidString(name) || len([]rune(name)) > 63 {
			return refuseAt(f.Expr.OriginTextPosition(), "name it with AS, in at most 63 characters", "the column name %q is too long", name)
		}
		if out.Column(name) >= 0 {
			return refuseAt(f.Expr.OriginTextPosition(), "name one of them otherwise with AS", "two columns are called %s", name)
		}
		c.output(out, name, n)
	}
	c.plan.Output = out
	c.inferKey()
	return nil
}

// output adds an output column.
func (c *compiler) output(out *change.Table, name string, n node) {
	i := n.info()
	out.Columns = append(out.Columns, change.Column{Name: name, Type: i.typ, Nullable: i.null})
	if i.class == classDecimal && i.loose {
		n = &rescaled{*i, n}
	}
	c.plan.Select = append(c.plan.Select, n)
}

func unwrapParens(e ast.ExprNode) ast.ExprNode {
	for {
		p, ok := e.(*ast.ParenthesesExpr)
		if !ok {
			return e
		}
		e = p.Expr
	}
}

func (c *compiler) builder(lo, hi int) *builder {
	return &builder{src: c.src, scope: c.scope, lo: lo, hi: hi, allowed: c.allowed, signatures: c.used}
}

// rescaled rounds a decimal to the scale of its type: the last step of an output column.
type rescaled struct {
	base
	arg node
}

// Eval rounds halves away from zero.
func (e *rescaled) Eval(t Tuple) (change.Value, error) {
	v, err := e.arg.Eval(t)
	if err != nil || v.IsNull() {
		return v, err
	}
	return toDec(v).round(e.typ.Scale).value(), nil
}
