package tsql

import (
	"strconv"
	"strings"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// quoteName writes a name so that ParseName reads it back.
func quoteName(n Name) string {
	var parts []string
	for _, s := range n {
		parts = append(parts, "["+strings.ReplaceAll(s, "]", "]]")+"]")
	}
	return strings.Join(parts, ".")
}

func (p *parser) create() Statement {
	switch {
	case p.accept("TABLE"):
		return p.createTable()
	case p.accept("SCHEMA"):
		return &CreateSchema{Name: p.identifier()}
	case p.accept("DATABASE"):
		d := &CreateDatabase{Name: p.identifier()}
		if !p.atEnd() && !p.sees(";") && !p.sees("END") && !p.sees("ELSE") {
			p.unexpected("the end of the statement")
		}
		return d
	case p.accept("VIEW"):
		return p.createView(false)
	case p.accept("OR", "ALTER", "VIEW"):
		return p.createView(true)
	}
	i := &CreateIndex{Unique: p.accept("UNIQUE")}
	if p.accept("CLUSTERED") {
		i.Clustered = true
	} else {
		_ = p.accept("NONCLUSTERED") // the default
	}
	if !p.accept("INDEX") {
		p.refuse(p.peek(), "no CREATE that the double implements goes on so")
		return nil
	}
	i.Name = p.identifier()
	p.expect("ON")
	i.Table = p.name()
	i.Columns = p.indexColumns()
	if p.accept("INCLUDE") {
		i.Include = p.names()
	}
	if p.accept("WHERE") {
		start := p.peek().at
		i.Where = p.expression()
		i.WhereText = strings.TrimSpace(p.text[start:min(p.peek().at, len(p.text))])
	}
	p.indexOptions()
	return i
}

// indexOptions refuses WITH (…) and ON filegroup behind an index.
func (p *parser) indexOptions() {
	if p.sees("WITH") || p.sees("ON") {
		p.unexpected("the end of the statement")
	}
}

func (p *parser) createView(alter bool) Statement {
	v := &CreateView{Name: p.name(), Alter: alter}
	if p.sees("(") {
		v.Columns = p.names()
	}
	p.expect("AS")
	v.Query = p.query()
	return v
}

func (p *parser) createTable() Statement {
	c := &CreateTable{Name: p.name()}
	p.tableBody(c)
	if p.sees("WITH") || p.sees("ON") || p.sees("TEXTIMAGE_ON") {
		p.unexpected("the end of the statement")
	}
	return c
}

// tableBody parses the columns and constraints of a table.
func (p *parser) tableBody(c *CreateTable) {
	p.expect("(")
	for {
		if k, ok := p.constraint(); ok {
			c.Constraints = append(c.Constraints, k)
		} else {
			def, inline := p.columnDef()
			c.Columns = append(c.Columns, def)
			c.Constraints = append(c.Constraints, inline...)
		}
		if !p.accept(",") {
			break
		}
	}
	p.expect(")")
}

// columnDef parses a column with the constraints that stand beside it.
func (p *parser) columnDef() (ColumnDef, []Constraint) {
	c := ColumnDef{Name: p.identifier()}
	if p.sees("AS") {
		p.unexpected("a data type (the double has no computed columns)")
	}
	c.Type = p.dataType()
	var inline []Constraint
	for {
		name := ""
		if p.accept("CONSTRAINT") {
			name = p.identifier()
		}
		switch {
		case p.accept("COLLATE"):
			c.Type.Collation, c.Collated = p.collation(), true
		case p.accept("NULL"):
			yes := true
			c.Null = &yes
		case p.accept("NOT", "NULL"):
			no := false
			c.Null = &no
		case p.accept("IDENTITY"):
			c.Identity, c.Seed, c.Step = true, 1, 1
			if p.accept("(") {
				c.Seed = p.integer()
				p.expect(",")
				c.Step = p.integer()
				p.expect(")")
			}
		case p.accept("DEFAULT"):
			c.Default, c.DefaultName = p.primary(), name
		case p.sees("PRIMARY") || p.sees("UNIQUE"):
			k := p.keyConstraint(name)
			if len(k.Columns) == 0 {
				k.Columns = []IndexColumn{{Name: c.Name}}
			}
			inline = append(inline, k)
		case p.sees("CHECK"):
			inline = append(inline, p.check(name))
		case name != "":
			p.unexpected("a constraint that the double implements")
			return c, inline
		default:
			return c, inline
		}
	}
}

// constraint parses a constraint of a table, if one comes.
func (p *parser) constraint() (Constraint, bool) {
	name := ""
	if p.accept("CONSTRAINT") {
		name = p.identifier()
	}
	switch {
	case p.sees("PRIMARY") || p.sees("UNIQUE"):
		k := p.keyConstraint(name)
		if len(k.Columns) == 0 {
			p.unexpected("a list of columns")
		}
		return k, true
	case p.sees("CHECK"):
		return p.check(name), true
	case p.sees("FOREIGN") || p.sees("INDEX") || name != "":
		p.unexpected("PRIMARY KEY, UNIQUE or CHECK")
	}
	return Constraint{}, false
}

func (p *parser) keyConstraint(name string) Constraint {
	k := Constraint{Name: name, Primary: p.sees("PRIMARY")}
	if k.Primary {
		p.expect("PRIMARY", "KEY")
	} else {
		p.expect("UNIQUE")
	}
	yes, no := true, false
	switch {
	case p.accept("CLUSTERED"):
		k.Clustered = &yes
	case p.accept("NONCLUSTERED"):
		k.Clustered = &no
	}
	if p.sees("(") {
		k.Columns = p.indexColumns()
	}
	p.indexOptions()
	return k
}

func (p *parser) check(name string) Constraint {
	p.expect("CHECK", "(")
	start := p.peek().at
	k := Constraint{Name: name, Check: p.expression()}
	k.CheckText = strings.TrimSpace(p.text[start:min(p.peek().at, len(p.text))])
	p.expect(")")
	return k
}

func (p *parser) indexColumns() []IndexColumn {
	p.expect("(")
	var out []IndexColumn
	for {
		c := IndexColumn{Name: p.identifier()}
		if p.accept("DESC") {
			c.Desc = true
		} else {
			_ = p.accept("ASC") // the default
		}
		out = append(out, c)
		if !p.accept(",") {
			break
		}
	}
	p.expect(")")
	return out
}

func (p *parser) drop() Statement {
	t := p.next()
	if t.kind != wordToken {
		p.refuse(t, "no DROP that the double implements goes on so")
		return nil
	}
	exists := p.accept("IF", "EXISTS")
	switch strings.ToUpper(t.text) {
	case "TABLE":
		return &DropTable{IfExists: exists, Names: p.nameList()}
	case "VIEW":
		return &DropView{IfExists: exists, Names: p.nameList()}
	case "SCHEMA":
		return &DropSchema{IfExists: exists, Name: p.identifier()}
	case "DATABASE":
		return &DropDatabase{IfExists: exists, Name: p.identifier()}
	case "INDEX":
		d := &DropIndex{IfExists: exists, Name: p.identifier()}
		p.expect("ON")
		d.Table = p.name()
		return d
	}
	p.refuse(t, "no DROP that the double implements goes on so")
	return nil
}

func (p *parser) nameList() []Name {
	var out []Name
	for {
		out = append(out, p.name())
		if !p.accept(",") {
			return out
		}
	}
}

func (p *parser) alter() Statement {
	if p.accept("DATABASE") {
		return p.alterDatabase()
	}
	if p.accept("VIEW") {
		v := p.createView(true)
		return v
	}
	p.expect("TABLE")
	a := &AlterTable{Name: p.name()}
	switch {
	case p.accept("ADD"):
		for {
			if k, ok := p.constraint(); ok {
				a.AddConstraints = append(a.AddConstraints, k)
			} else {
				def, inline := p.columnDef()
				a.AddColumns = append(a.AddColumns, def)
				a.AddConstraints = append(a.AddConstraints, inline...)
			}
			if !p.accept(",") {
				return a
			}
		}
	case p.accept("ALTER", "COLUMN"):
		def, inline := p.columnDef()
		if len(inline) > 0 || def.Identity || def.Default != nil {
			p.unexpected("a type, a collation and NULL or NOT NULL")
		}
		a.AlterColumn = &def
	case p.accept("DROP", "COLUMN"):
		a.IfExists = p.accept("IF", "EXISTS")
		a.DropColumns = p.identifiers()
	case p.accept("DROP", "CONSTRAINT"):
		a.IfExists = p.accept("IF", "EXISTS")
		a.DropConstraints = p.identifiers()
	default:
		p.refuse(p.peek(), "no ALTER TABLE that the double implements goes on so")
	}
	return a
}

func (p *parser) identifiers() []string {
	var out []string
	for {
		out = append(out, p.identifier())
		if !p.accept(",") {
			return out
		}
	}
}

func (p *parser) alterDatabase() Statement {
	a := &AlterDatabase{}
	if !p.accept("CURRENT") {
		a.Name = p.identifier()
	}
	p.expect("SET")
	t := p.next()
	a.Option = strings.ToUpper(t.text)
	if a.Option != "ALLOW_SNAPSHOT_ISOLATION" && a.Option != "READ_COMMITTED_SNAPSHOT" {
		p.refuse(t, "the option is not one that the double implements")
	}
	a.Value = p.onOff()
	if p.sees("WITH") {
		p.unexpected("the end of the statement")
	}
	return a
}
