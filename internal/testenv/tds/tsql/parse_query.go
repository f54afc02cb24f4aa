package tsql

import (
	"slices"
	"strings"

	"github.com/etlsandbox/cdc/internal/testenv/tds/datatype"
)

// castType is a type in CAST or CONVERT, where a length left out is 30.
func (p *parser) castType() datatype.Type {
	start := p.peek()
	sized := p.ahead(1).is("(")
	t := p.dataType()
	if (t.IsText() || t.IsBinary()) && !sized && !strings.EqualFold(start.text, "sysname") {
		t.Length = 30
	}
	return t
}

// query parses a SELECT with all that may stand around it.
func (p *parser) query() *Query {
	defer p.enter()()
	q := &Query{With: p.with()}
	p.queryBody(q)
	return q
}

func (p *parser) queryBody(q *Query) {
	q.Body = p.setOps()
	if p.accept("ORDER", "BY") {
		q.Order = p.orders()
		if p.accept("OFFSET") {
			q.Offset = p.sum()
			if !p.accept("ROWS") {
				p.expect("ROW")
			}
			if p.accept("FETCH") {
				if !p.accept("NEXT") {
					p.expect("FIRST")
				}
				q.Fetch = p.sum()
				if !p.accept("ROWS") {
					p.expect("ROW")
				}
				p.expect("ONLY")
			}
		}
	}
	if p.sees("FOR") || p.sees("OPTION") {
		p.unexpected("the end of the query")
	}
}

func (p *parser) with() []CTE {
	if !p.accept("WITH") {
		return nil
	}
	var out []CTE
	for {
		c := CTE{Name: p.identifier()}
		if p.sees("(") {
			c.Columns = p.names()
		}
		p.expect("AS", "(")
		c.Query = p.query()
		p.expect(")")
		out = append(out, c)
		if !p.accept(",") {
			return out
		}
	}
}

func (p *parser) setOps() Body {
	l := p.intersects()
	for {
		op := ""
		switch {
		case p.accept("UNION", "ALL"):
			op = "UNION ALL"
		case p.accept("UNION"):
			op = "UNION"
		case p.accept("EXCEPT"):
			op = "EXCEPT"
		default:
			return l
		}
		l = &SetOp{Op: op, L: l, R: p.intersects()}
	}
}

func (p *parser) intersects() Body {
	l := p.bodyItem()
	for p.accept("INTERSECT") {
		l = &SetOp{Op: "INTERSECT", L: l, R: p.bodyItem()}
	}
	return l
}

func (p *parser) bodyItem() Body {
	if p.accept("(") {
		defer p.enter()()
		b := p.setOps()
		p.expect(")")
		return b
	}
	return p.selectBody()
}

func (p *parser) selectBody() *Select {
	p.expect("SELECT")
	s := &Select{}
	if p.accept("DISTINCT") {
		s.Distinct = true
	} else {
		_ = p.accept("ALL") // the default
	}
	s.Top = p.top()
	s.Items = p.items()
	if p.accept("INTO") {
		s.Into = p.name()
	}
	if p.accept("FROM") {
		s.From = p.tables()
	}
	if p.accept("WHERE") {
		s.Where = p.expression()
	}
	if p.accept("GROUP", "BY") {
		if p.ahead(1).is("(") && (p.sees("ROLLUP") || p.sees("CUBE")) || p.sees("GROUPING") {
			p.unexpected("an expression")
		}
		s.Group = p.expressions()
	}
	if p.accept("HAVING") {
		s.Having = p.expression()
	}
	return s
}

// top parses TOP (n); PERCENT and WITH TIES are refused by what follows.
func (p *parser) top() Expr {
	if !p.accept("TOP") {
		return nil
	}
	var x Expr
	if p.accept("(") {
		x = p.expression()
		p.expect(")")
	} else {
		t := p.next()
		if t.kind != numberToken {
			p.refuse(t, "a number is expected")
		}
		x = &Number{Text: t.text}
	}
	if p.sees("PERCENT") || p.sees("WITH", "TIES") {
		p.unexpected("a select list")
	}
	return x
}

func (p *parser) items() []Item {
	var out []Item
	for {
		out = append(out, p.item())
		if !p.accept(",") {
			return out
		}
	}
}

func (p *parser) item() Item {
	if p.accept("*") {
		return Item{Star: true}
	}
	if t := p.peek(); t.kind == variableToken && p.ahead(1).is("=") && !strings.HasPrefix(t.text, "@@") {
		p.at += 2
		return Item{Assign: t.text, X: p.expression()}
	}
	if p.peek().isName() && p.ahead(1).is("=") {
		alias := p.identifier()
		p.at++
		return Item{Alias: alias, X: p.expression()}
	}
	if table, ok := p.qualifiedStar(); ok {
		return Item{Star: true, Table: table}
	}
	i := Item{X: p.expression()}
	switch t := p.peek(); {
	case p.accept("AS"):
		if p.peek().kind == stringToken {
			i.Alias = p.next().text
		} else {
			i.Alias = p.identifier()
		}
	case t.isName() && !p.startsStatement():
		i.Alias = p.identifier()
	}
	return i
}

// qualifiedStar takes t.* if it comes next.
func (p *parser) qualifiedStar() (Name, bool) {
	var n Name
	for i := 0; p.ahead(i).isName() && p.ahead(i+1).is("."); i += 2 {
		n = append(n, p.ahead(i).text)
		if p.ahead(i + 2).is("*") {
			p.at += i + 3
			return n, true
		}
	}
	return nil, false
}

// tables parses the list behind FROM.
func (p *parser) tables() []Table {
	var out []Table
	for {
		out = append(out, p.joined())
		if !p.accept(",") {
			return out
		}
	}
}

func (p *parser) joined() Table {
	defer p.enter()()
	l := p.tablePrimary()
	for {
		kind := ""
		switch {
		case p.accept("JOIN"), p.accept("INNER", "JOIN"):
			kind = "INNER"
		case p.accept("LEFT", "JOIN"), p.accept("LEFT", "OUTER", "JOIN"):
			kind = "LEFT"
		case p.accept("RIGHT", "JOIN"), p.accept("RIGHT", "OUTER", "JOIN"):
			kind = "RIGHT"
		case p.accept("FULL", "JOIN"), p.accept("FULL", "OUTER", "JOIN"):
			kind = "FULL"
		case p.accept("CROSS", "JOIN"):
			l = &Join{Kind: "CROSS", L: l, R: p.tablePrimary()}
			continue
		case p.accept("CROSS", "APPLY"):
			l = &Apply{L: l, R: p.tablePrimary()}
			continue
		case p.accept("OUTER", "APPLY"):
			l = &Apply{Outer: true, L: l, R: p.tablePrimary()}
			continue
		default:
			return l
		}
		j := &Join{Kind: kind, L: l, R: p.joinRight()}
		p.expect("ON")
		j.On = p.expression()
		l = j
	}
}

// joinRight is the right side of a join: a JOIN b JOIN c ON … ON … is refused.
func (p *parser) joinRight() Table { return p.tablePrimary() }

func (p *parser) tablePrimary() Table {
	if !p.accept("(") {
		return p.tableRef()
	}
	if !p.sees("SELECT") && !p.sees("WITH") && !p.sees("VALUES") {
		t := p.joined()
		p.expect(")")
		return t
	}
	d := &Derived{}
	if p.accept("VALUES") {
		d.Rows = p.rows(false)
	} else {
		d.Query = p.query()
	}
	p.expect(")")
	_ = p.accept("AS") // may be left out
	d.Alias = p.identifier()
	if p.sees("(") {
		d.Columns = p.names()
	}
	return d
}

func (p *parser) tableRef() *TableRef {
	start := p.peek()
	t := &TableRef{Name: p.tableName()}
	if p.sees("(") {
		p.refuse(start, "a table is expected, not a function")
	}
	if p.accept("AS") {
		t.Alias = p.identifier()
	} else if p.peek().isName() && !p.startsStatement() {
		t.Alias = p.identifier()
	}
	t.Hints = p.hints()
	return t
}

// knownHints are the table hints that the double implements. Rows that nobody has committed are never read here, and
// pages have no locks.
var knownHints = []string{"ROWLOCK", "UPDLOCK", "XLOCK", "HOLDLOCK", "SERIALIZABLE", "TABLOCK", "TABLOCKX"}

func (p *parser) hints() []string {
	if !p.sees("WITH", "(") {
		return nil
	}
	p.at += 2
	var out []string
	for {
		t := p.next()
		h := strings.ToUpper(t.text)
		if t.kind != wordToken || !slices.Contains(knownHints, h) {
			p.refuse(t, "the hint is not one that the double implements")
		}
		out = append(out, h)
		if !p.accept(",") {
			break
		}
	}
	p.expect(")")
	return out
}

// rows parses the rows of VALUES; in an INSERT a value may be DEFAULT, which is nil.
func (p *parser) rows(defaults bool) [][]Expr {
	var out [][]Expr
	for {
		p.expect("(")
		var row []Expr
		for {
			if defaults && p.accept("DEFAULT") {
				row = append(row, nil)
			} else {
				row = append(row, p.expression())
			}
			if !p.accept(",") {
				break
			}
		}
		p.expect(")")
		out = append(out, row)
		if !p.accept(",") {
			return out
		}
	}
}
