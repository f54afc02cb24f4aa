package tsql

import (
	"slices"
	"strings"
)

// flowStatement parses what directs a batch; nil if something else comes.
func (p *parser) flowStatement() Statement {
	switch {
	case p.sees("BEGIN", "TRY"):
		return p.try()
	case p.sees("BEGIN") && !p.ahead(1).is("TRAN") && !p.ahead(1).is("TRANSACTION") && !p.ahead(1).is("DISTRIBUTED"):
		p.at++
		b := &Block{Body: p.statements()}
		p.expect("END")
		return b
	case p.accept("IF"):
		i := &If{Cond: p.expression(), Then: p.statement()}
		for p.sees(";", "ELSE") {
			p.at++
		}
		if p.accept("ELSE") {
			i.Else = p.statement()
		}
		return i
	case p.accept("WHILE"):
		return &While{Cond: p.expression(), Body: p.statement()}
	case p.accept("BREAK"):
		return &Break{}
	case p.accept("CONTINUE"):
		return &Continue{}
	case p.accept("RETURN"):
		return &Return{}
	case p.accept("THROW"):
		return p.throw()
	case p.accept("RAISERROR"):
		return p.raiseError()
	case p.accept("PRINT"):
		return &Print{X: p.expression()}
	case p.accept("DECLARE"):
		return p.declare()
	case p.accept("WAITFOR", "DELAY"):
		return &WaitFor{Delay: p.primary()}
	}
	return nil
}

func (p *parser) try() Statement {
	p.expect("BEGIN", "TRY")
	t := &Try{Body: p.statements()}
	p.expect("END", "TRY")
	_ = p.accept(";")
	p.expect("BEGIN", "CATCH")
	t.Catch = p.statements()
	p.expect("END", "CATCH")
	return t
}

func (p *parser) throw() Statement {
	t := &Throw{}
	if k := p.peek().kind; k == numberToken || k == variableToken {
		t.Number = p.primary()
		p.expect(",")
		t.Message = p.primary()
		p.expect(",")
		t.State = p.primary()
	}
	return t
}

func (p *parser) raiseError() Statement {
	r := &RaiseError{}
	p.expect("(")
	r.Message = p.primary()
	p.expect(",")
	r.Severity = p.unary()
	p.expect(",")
	r.State = p.unary()
	p.expect(")")
	return r
}

func (p *parser) declare() Statement {
	d := &Declare{}
	for {
		v := VariableDef{Name: p.variable()}
		_ = p.accept("AS") // may be left out
		if len(d.Variables) == 0 && p.accept("TABLE") {
			t := &DeclareTable{CreateTable{Name: Name{v.Name}}}
			p.tableBody(&t.CreateTable)
			return t
		}
		if p.sees("TABLE") || p.sees("CURSOR") {
			p.unexpected("a data type of values")
		}
		v.Type = p.dataType()
		if p.accept("=") {
			v.Value = p.expression()
		}
		d.Variables = append(d.Variables, v)
		if !p.accept(",") {
			return d
		}
	}
}

// sessionStatement parses what concerns the session and its transaction; nil if something else comes.
func (p *parser) sessionStatement() Statement {
	switch {
	case p.accept("BEGIN", "TRAN"), p.accept("BEGIN", "TRANSACTION"):
		return &BeginTran{Name: p.tranName()}
	case p.accept("COMMIT"):
		_ = p.accept("WORK") // the same
		if p.accept("TRAN") || p.accept("TRANSACTION") {
			return &CommitTran{Name: p.tranName()}
		}
		return &CommitTran{}
	case p.accept("ROLLBACK"):
		_ = p.accept("WORK") // the same
		if p.accept("TRAN") || p.accept("TRANSACTION") {
			return &RollbackTran{Name: p.tranName()}
		}
		return &RollbackTran{}
	case p.accept("SAVE", "TRAN"), p.accept("SAVE", "TRANSACTION"):
		return &SaveTran{Name: p.identifier()}
	case p.accept("SET"):
		return p.set()
	case p.accept("USE"):
		return &Use{Database: p.identifier()}
	}
	return nil
}

func (p *parser) tranName() string {
	if p.peek().isName() && !p.startsStatement() {
		return p.identifier()
	}
	return ""
}

// switches are the options that are ON or OFF.
var switches = []string{
	"XACT_ABORT", "NOCOUNT", "FMTONLY", "ANSI_NULLS", "ANSI_PADDING", "ANSI_WARNINGS", "ARITHABORT", "CONCAT_NULL_YIELDS_NULL",
	"QUOTED_IDENTIFIER", "NUMERIC_ROUNDABORT", "IMPLICIT_TRANSACTIONS", "ANSI_NULL_DFLT_ON", "CURSOR_CLOSE_ON_COMMIT",
}

func (p *parser) set() Statement {
	t := p.peek()
	if t.kind == variableToken {
		a := p.assignment(p.variable())
		return &SetVariable{Name: a.Column, Op: a.Op, X: a.X}
	}
	if p.accept("TRANSACTION", "ISOLATION", "LEVEL") {
		for _, level := range []string{"READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SNAPSHOT", "SERIALIZABLE"} {
			if p.accept(strings.Fields(level)...) {
				return &SetOption{Name: "TRANSACTION ISOLATION LEVEL", Value: level}
			}
		}
		p.unexpected("an isolation level")
		return nil
	}
	if p.accept("IDENTITY_INSERT") {
		n := p.name()
		return &SetOption{Name: "IDENTITY_INSERT", Value: quoteName(n) + " " + p.onOff()}
	}
	if p.accept("LOCK_TIMEOUT") {
		n := p.integer()
		if n < -1 || n > 1<<31-1 {
			p.refuse(t, "a number of milliseconds is expected")
		}
		return &SetOption{Name: "LOCK_TIMEOUT", Value: itoa(n)}
	}
	if p.accept("DEADLOCK_PRIORITY") {
		p.refuse(t, "the option is not one that the double implements")
		return nil
	}
	name := strings.ToUpper(t.text)
	if t.kind != wordToken || !slices.Contains(switches, name) {
		p.refuse(t, "the option is not one that the double implements")
		return nil
	}
	p.at++
	return &SetOption{Name: name, Value: p.onOff()}
}

func (p *parser) onOff() string {
	switch {
	case p.accept("ON"):
		return "ON"
	case p.accept("OFF"):
		return "OFF"
	}
	p.unexpected("ON or OFF")
	return ""
}

func (p *parser) exec() Statement {
	if p.accept("(") {
		e := &Exec{Text: p.sum()}
		p.expect(")")
		if p.sees("AS") || p.sees("AT") {
			p.unexpected("the end of the statement")
		}
		return e
	}
	e := &Exec{Procedure: p.name()}
	if t := p.peek(); t.kind == endToken || t.is(";") || t.kind == wordToken {
		return e // without arguments
	}
	for {
		a := Argument{}
		if p.peek().kind == variableToken && p.ahead(1).is("=") {
			a.Name = p.variable()
			p.at++
		}
		a.X = p.unary()
		a.Output = p.accept("OUTPUT") || p.accept("OUT")
		e.Args = append(e.Args, a)
		if !p.accept(",") {
			return e
		}
	}
}
