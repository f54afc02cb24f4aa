package tsql

import (
	"strings"
)

// expression parses an expression or a predicate.
func (p *parser) expression() Expr { return p.or() }

func (p *parser) or() Expr {
	defer p.enter()()
	l := p.and()
	for p.accept("OR") {
		l = &Logic{Op: "OR", L: l, R: p.and()}
	}
	return l
}

func (p *parser) and() Expr {
	l := p.not()
	for p.accept("AND") {
		l = &Logic{Op: "AND", L: l, R: p.not()}
	}
	return l
}

func (p *parser) not() Expr {
	if p.accept("NOT") {
		defer p.enter()()
		return &Not{X: p.not()}
	}
	return p.predicate()
}

// comparisons maps operators to their usual spelling.
var comparisons = map[string]string{
	"=": "=", "<>": "<>", "!=": "<>", "<": "<", ">": ">", "<=": "<=", ">=": ">=", "!<": ">=", "!>": "<=",
}

func (p *parser) predicate() Expr {
	if p.accept("EXISTS") {
		p.expect("(")
		q := p.query()
		p.expect(")")
		return &Exists{Query: q}
	}
	x := p.sum()
	if op, ok := comparisons[p.peek().text]; ok && p.peek().kind == symbolToken {
		p.at++
		if p.sees("ALL") || p.sees("ANY") || p.sees("SOME") {
			p.unexpected("a value")
		}
		return &Compare{Op: op, L: x, R: p.sum()}
	}
	if p.accept("IS") {
		n := &IsNull{X: x, Not: p.accept("NOT")}
		p.expect("NULL")
		return n
	}
	not := p.sees("NOT") && (p.ahead(1).is("IN") || p.ahead(1).is("BETWEEN") || p.ahead(1).is("LIKE"))
	if not {
		p.at++
	}
	switch {
	case p.accept("IN"):
		return p.in(x, not)
	case p.accept("BETWEEN"):
		b := &Between{X: x, Not: not, Low: p.sum()}
		p.expect("AND")
		b.High = p.sum()
		return b
	case p.accept("LIKE"):
		l := &Like{X: x, Not: not, Pattern: p.sum()}
		if p.accept("ESCAPE") {
			l.Escape = p.sum()
		}
		return l
	}
	return x
}

func (p *parser) in(x Expr, not bool) Expr {
	n := &In{X: x, Not: not}
	p.expect("(")
	if p.sees("SELECT") || p.sees("WITH") {
		n.Query = p.query()
	} else {
		n.List = p.expressions()
	}
	p.expect(")")
	return n
}

// expressions parses a list that is not empty.
func (p *parser) expressions() []Expr {
	var out []Expr
	for {
		out = append(out, p.expression())
		if !p.accept(",") {
			return out
		}
	}
}

func (p *parser) sum() Expr {
	l := p.product()
	for p.sees("+") || p.sees("-") || p.sees("&") || p.sees("|") || p.sees("^") {
		l = &Binary{Op: p.next().text, L: l, R: p.product()}
	}
	return l
}

func (p *parser) product() Expr {
	l := p.unary()
	for p.sees("*") || p.sees("/") || p.sees("%") {
		l = &Binary{Op: p.next().text, L: l, R: p.unary()}
	}
	return l
}

func (p *parser) unary() Expr {
	if p.sees("-") || p.sees("+") || p.sees("~") {
		defer p.enter()()
		return &Unary{Op: p.next().text, X: p.unary()}
	}
	x := p.primary()
	for p.accept("COLLATE") {
		x = &Collate{X: x, Collation: p.collation()}
	}
	return x
}

func (p *parser) primary() Expr {
	t := p.peek()
	switch t.kind {
	case numberToken:
		p.at++
		return &Number{Text: t.text}
	case stringToken:
		p.at++
		return &String{Text: t.text, National: t.national}
	case hexToken:
		p.at++
		return &Hex{Digits: t.text}
	case variableToken:
		p.at++
		if name, ok := strings.CutPrefix(t.text, "@@"); ok {
			return &SystemVariable{Name: strings.ToLower(name)}
		}
		return &Variable{Name: t.text}
	}
	switch {
	case p.accept("("):
		return p.parenthesis()
	case p.accept("NULL"):
		return &NullLiteral{}
	case p.accept("CASE"):
		return p.caseOf()
	case p.sees("CAST", "(") || p.sees("TRY_CAST", "("):
		return p.cast()
	case p.sees("CONVERT", "(") || p.sees("TRY_CONVERT", "("):
		return p.convert()
	case p.accept("CURRENT_TIMESTAMP"):
		return &Call{Name: "current_timestamp"}
	}
	if p.ahead(1).is("(") && (t.isName() || reservedFunctions[strings.ToUpper(t.text)]) {
		return p.call()
	}
	return p.column()
}

// reservedFunctions are keywords that are functions when a parenthesis follows.
var reservedFunctions = wordSet("COALESCE NULLIF LEFT RIGHT")

func (p *parser) parenthesis() Expr {
	defer p.enter()()
	var x Expr
	if p.sees("SELECT") || p.sees("WITH") {
		x = &Subquery{Query: p.query()}
	} else {
		x = p.expression()
	}
	p.expect(")")
	return x
}

func (p *parser) caseOf() Expr {
	c := &Case{}
	if !p.sees("WHEN") {
		c.Of = p.expression()
	}
	for p.accept("WHEN") {
		w := When{If: p.expression()}
		p.expect("THEN")
		w.Then = p.expression()
		c.Whens = append(c.Whens, w)
	}
	if len(c.Whens) == 0 {
		p.unexpected("WHEN")
	}
	if p.accept("ELSE") {
		c.Else = p.expression()
	}
	p.expect("END")
	return c
}

func (p *parser) cast() Expr {
	c := &Cast{Try: p.next().is("TRY_CAST")}
	p.expect("(")
	c.X = p.expression()
	p.expect("AS")
	c.Type = p.castType()
	p.expect(")")
	return c
}

func (p *parser) convert() Expr {
	c := &Cast{Try: p.next().is("TRY_CONVERT")}
	p.expect("(")
	c.Type = p.castType()
	p.expect(",")
	c.X = p.expression()
	if p.accept(",") {
		c.Style = p.expression()
	}
	p.expect(")")
	return c
}

func (p *parser) call() Expr {
	c := &Call{Name: strings.ToLower(p.next().text)}
	p.expect("(")
	switch {
	case p.sees("*", ")"):
		p.at++
		c.Star = true
	case !p.sees(")"):
		if p.accept("DISTINCT") {
			c.Distinct = true
		} else {
			_ = p.accept("ALL") // the default
		}
		c.Args = p.expressions()
	}
	p.expect(")")
	if p.accept("WITHIN", "GROUP") {
		p.expect("(", "ORDER", "BY")
		c.Within = p.orders()
		p.expect(")")
	}
	if p.accept("OVER") {
		c.Over = p.window()
	}
	return c
}

func (p *parser) window() *Window {
	w := &Window{}
	p.expect("(")
	if p.accept("PARTITION", "BY") {
		w.Partition = p.expressions()
	}
	if p.accept("ORDER", "BY") {
		w.Order = p.orders()
	}
	p.expect(")")
	return w
}

func (p *parser) orders() []Order {
	var out []Order
	for {
		o := Order{X: p.expression()}
		if p.accept("DESC") {
			o.Desc = true
		} else {
			_ = p.accept("ASC") // the default
		}
		out = append(out, o)
		if !p.accept(",") {
			return out
		}
	}
}

func (p *parser) column() Expr {
	n := p.name()
	return &Column{Table: n[:len(n)-1], Name: n.Last()}
}
