package tsql

import (
	"slices"
	"strings"
)

// startsStatement reports a word that begins a statement and would otherwise be taken for an alias.
func (p *parser) startsStatement() bool { return p.sees("THROW") || p.sees("OUTPUT") }

// statements parses statements up to the end of the text or of a block.
func (p *parser) statements() []Statement {
	var out []Statement
	for {
		for p.accept(";") {
		}
		if p.atEnd() || p.sees("END") {
			return out
		}
		out = append(out, p.statement())
	}
}

func (p *parser) statement() Statement {
	defer p.enter()()
	start := p.peek()
	s := &Source{Statement: p.bare(), Line: start.line}
	end := start.at
	if p.at > 0 && p.err == nil {
		end = p.tokens[p.at-1].end
	}
	s.Text = p.text[start.at:max(start.at, end)]
	return s
}

// bare parses a statement without its place.
func (p *parser) bare() Statement {
	if s := p.dataStatement(); s != nil {
		return s
	}
	if s := p.flowStatement(); s != nil {
		return s
	}
	if s := p.sessionStatement(); s != nil {
		return s
	}
	switch {
	case p.accept("CREATE"):
		return p.create()
	case p.accept("DROP"):
		return p.drop()
	case p.accept("ALTER"):
		return p.alter()
	case p.accept("EXEC"), p.accept("EXECUTE"):
		return p.exec()
	}
	p.refuse(p.peek(), "no statement that the double implements begins so")
	return nil
}

func (p *parser) dataStatement() Statement {
	if p.sees("WITH") {
		with := p.with()
		switch {
		case p.sees("SELECT"):
			q := &Query{With: with}
			p.queryBody(q)
			return &SelectStatement{Query: q}
		case p.accept("INSERT"):
			return p.insert(with)
		case p.accept("UPDATE"):
			return p.update(with)
		case p.accept("DELETE"):
			return p.delete(with)
		}
		p.unexpected("SELECT, INSERT, UPDATE or DELETE")
		return nil
	}
	switch {
	case p.sees("SELECT") || p.sees("("):
		return &SelectStatement{Query: p.query()}
	case p.accept("INSERT", "BULK"):
		return p.insertBulk()
	case p.accept("INSERT"):
		return p.insert(nil)
	case p.accept("UPDATE"):
		return p.update(nil)
	case p.accept("DELETE"):
		return p.delete(nil)
	case p.accept("TRUNCATE", "TABLE"):
		return &Truncate{Table: p.name()}
	}
	return nil
}

func (p *parser) insert(with []CTE) Statement {
	_ = p.accept("INTO") // may be left out
	i := &Insert{With: with, Target: TableRef{Name: p.tableName()}}
	i.Target.Hints = p.hints()
	if p.sees("(") && !p.ahead(1).is("SELECT") {
		i.Columns = p.names()
	}
	i.Output = p.output()
	switch {
	case p.accept("DEFAULT", "VALUES"):
	case p.accept("VALUES"):
		i.Rows = p.rows(true)
		if len(i.Rows) > 1000 {
			p.refuse(p.peek(), "the number of row value expressions exceeds 1000")
		}
	case p.sees("SELECT") || p.sees("(") || p.sees("WITH"):
		i.Query = p.query()
	default:
		p.unexpected("VALUES or SELECT")
	}
	return i
}

func (p *parser) output() *Output {
	if !p.accept("OUTPUT") {
		return nil
	}
	o := &Output{Items: p.items()}
	if p.accept("INTO") {
		o.Into = p.name()
		if p.sees("(") {
			o.Columns = p.names()
		}
	}
	return o
}

func (p *parser) update(with []CTE) Statement {
	u := &Update{With: with, Top: p.top(), Target: TableRef{Name: p.tableName()}}
	u.Target.Hints = p.hints()
	p.expect("SET")
	for {
		n := p.name()
		if len(n) > 2 {
			p.refuse(p.peek(), "a column name of %d parts", len(n))
		}
		u.Set = append(u.Set, p.assignment(n.Last()))
		if !p.accept(",") {
			break
		}
	}
	u.Output = p.output()
	if p.accept("FROM") {
		u.From = p.tables()
	}
	if p.accept("WHERE") {
		u.Where = p.expression()
	}
	return u
}

func (p *parser) assignment(column string) Assignment {
	t := p.next()
	if t.kind != symbolToken || !slices.Contains([]string{"=", "+=", "-=", "*=", "/="}, t.text) {
		p.refuse(t, "= is expected")
	}
	return Assignment{Column: column, Op: t.text, X: p.expression()}
}

func (p *parser) delete(with []CTE) Statement {
	d := &Delete{With: with, Top: p.top()}
	_ = p.accept("FROM") // may be left out
	d.Target = TableRef{Name: p.tableName()}
	d.Target.Hints = p.hints()
	d.Output = p.output()
	if p.accept("FROM") {
		d.From = p.tables()
	}
	if p.accept("WHERE") {
		d.Where = p.expression()
	}
	return d
}

// bulkOptions are the options of INSERT BULK that the double implements.
var bulkOptions = []string{"CHECK_CONSTRAINTS", "KEEP_NULLS", "TABLOCK", "ROWS_PER_BATCH", "KILOBYTES_PER_BATCH"}

func (p *parser) insertBulk() Statement {
	b := &InsertBulk{Table: p.name()}
	p.expect("(")
	for {
		c := ColumnDef{Name: p.identifier(), Type: p.dataType()}
		if p.accept("COLLATE") {
			c.Type.Collation, c.Collated = p.collation(), true
		}
		b.Columns = append(b.Columns, c)
		if !p.accept(",") {
			break
		}
	}
	p.expect(")")
	if p.accept("WITH") {
		p.expect("(")
		for {
			t := p.next()
			if !slices.Contains(bulkOptions, strings.ToUpper(t.text)) {
				p.refuse(t, "the option is not one that the double implements")
			}
			b.Options = append(b.Options, strings.ToUpper(t.text))
			if p.accept("=") {
				p.integer()
			}
			if !p.accept(",") {
				break
			}
		}
		p.expect(")")
	}
	return b
}
