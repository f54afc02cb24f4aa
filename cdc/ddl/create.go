package ddl

import (
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Created returns what a CREATE TABLE does that Read cannot read, by its head; ok is false for any other statement.
// It changes no table but its own, whatever others it names.
func Created(sql string, s Session) (c Change, ok bool) {
	l := lexer{s: sql}
	c = Change{Action: Create, What: "CREATE TABLE"}
	if w, _ := l.next(); !strings.EqualFold(w, "create") {
		return c, false
	}
	w, _ := l.next()
	if strings.EqualFold(w, "or") {
		_, _ = l.next() // REPLACE
		c.Action = Replace
		w, _ = l.next()
	}
	if !strings.EqualFold(w, "table") {
		return c, false
	}
	name := l.name()
	if strings.EqualFold(name, "if") {
		_, _ = l.next() // NOT
		_, _ = l.next() // EXISTS
		c.IfNotExists = true
		name = l.name()
	}
	c.Table = change.TableID{DB: s.DB, Name: name}
	if l.i < len(l.s) && l.s[l.i] == '.' {
		c.Table = change.TableID{DB: name, Name: l.name()}
	}
	return c, c.Table.Name != ""
}

// name is the next word, with the space behind it passed over.
func (l *lexer) name() string {
	w, _ := l.next()
	l.i += len(l.s[l.i:]) - len(strings.TrimLeft(l.s[l.i:], " \t\r\n"))
	return w
}
