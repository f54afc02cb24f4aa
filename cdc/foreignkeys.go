package cdc

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
)

// foreignKeys reads the foreign keys of the tables. MariaDB and MySQL before 8.0 show a key's columns to
// who may SELECT, but its rules (REFERENTIAL_CONSTRAINTS) only to who may do more; there the rules are
// taken from SHOW CREATE TABLE, for which SELECT suffices. A rule taken as absent would lose every row that
// the server cascades to without logging it.
func (c *catalog) foreignKeys(ctx context.Context, conn *sql.Conn) error {
	where := strings.ReplaceAll(strings.ReplaceAll(c.where, "TABLE_SCHEMA", "k.TABLE_SCHEMA"), "TABLE_NAME", "k.TABLE_NAME")
	rows, err := query(ctx, conn, `SELECT k.TABLE_SCHEMA, k.TABLE_NAME, k.CONSTRAINT_NAME, k.COLUMN_NAME,
			k.REFERENCED_TABLE_SCHEMA, k.REFERENCED_TABLE_NAME, k.REFERENCED_COLUMN_NAME, r.DELETE_RULE, r.UPDATE_RULE
		FROM information_schema.KEY_COLUMN_USAGE k LEFT JOIN information_schema.REFERENTIAL_CONSTRAINTS r
			ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME AND r.TABLE_NAME = k.TABLE_NAME
		WHERE k.REFERENCED_TABLE_NAME IS NOT NULL AND `+where+`
		ORDER BY k.TABLE_SCHEMA, k.TABLE_NAME, k.CONSTRAINT_NAME, k.ORDINAL_POSITION`, c.args...)
	if err != nil {
		return err
	}
	var shown tableText
	for _, r := range rows {
		l := c.byID[change.TableID{DB: r[0].String, Name: r[1].String}]
		if l == nil {
			continue
		}
		fks := l.Table.ForeignKeys
		if n := len(fks); n == 0 || fks[n-1].Name != r[2].String {
			onDelete, onUpdate := action(r[7].String), action(r[8].String)
			if !r[7].Valid {
				if onDelete, onUpdate, err = shown.rules(ctx, conn, l.Table.ID, r[2].String); err != nil {
					return err
				}
			}
			fks = append(fks, change.ForeignKey{
				Name: r[2].String, Parent: change.TableID{DB: r[4].String, Name: r[5].String},
				OnDelete: onDelete, OnUpdate: onUpdate, Logged: c.server.LogCascades,
			})
		}
		fk := &fks[len(fks)-1]
		fk.Columns, fk.ParentBy = append(fk.Columns, r[3].String), append(fk.ParentBy, r[6].String)
		l.Table.ForeignKeys = fks
	}
	return nil
}

func action(rule string) change.Action {
	switch rule {
	case "CASCADE":
		return change.Cascade
	case "SET NULL":
		return change.SetNull
	}
	return change.NoAction
}

const noSuchTable = 1146

// tableText is the SHOW CREATE TABLE of the table asked for last; the zero value holds none.
type tableText struct {
	table change.TableID
	lines []string
}

// rules returns what the foreign key does on delete and on update, by the table's definition.
func (t *tableText) rules(ctx context.Context, conn *sql.Conn, id change.TableID, key string) (onDelete, onUpdate change.Action, err error) {
	if t.table != id {
		rows, err := query(ctx, conn, "SHOW CREATE TABLE "+QuoteTable(id))
		if code, _, ok := serverError(err); ok && code == noSuchTable {
			return change.NoAction, change.NoAction, nil // dropped meanwhile: the log will say so
		}
		if err != nil {
			return 0, 0, fmt.Errorf("read the foreign keys of table %s: %w", id, err)
		}
		t.table, t.lines = id, strings.Split(rows[0][1].String, "\n")
	}
	onDelete, onUpdate, ok := definedRules(t.lines, key)
	if !ok {
		return 0, 0, &Error{
			Kind: ErrAccess, Doing: "read the rules of foreign key " + key + " of table " + id.String(),
			Hint: "GRANT REFERENCES ON " + QuoteTable(id) + " TO the account of source.user",
		}
	}
	return onDelete, onUpdate, nil
}

// definedRules looks up a foreign key's rules in the lines of SHOW CREATE TABLE, where each constraint has a line of its own:
//
//	CONSTRAINT `name` FOREIGN KEY (`a`) REFERENCES `parent` (`id`) ON DELETE SET NULL ON UPDATE CASCADE,
func definedRules(lines []string, key string) (onDelete, onUpdate change.Action, ok bool) {
	for _, line := range lines {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "CONSTRAINT "+QuoteName(key)+" FOREIGN KEY (") {
			continue
		}
		// The last parenthesis ends the list of the parent's columns; names are before it.
		rules := line[strings.LastIndexByte(line, ')')+1:]
		return definedRule(rules, " ON DELETE "), definedRule(rules, " ON UPDATE "), true
	}
	return 0, 0, false
}

func definedRule(rules, on string) change.Action {
	_, rule, _ := strings.Cut(rules, on)
	for _, a := range []string{"CASCADE", "SET NULL"} {
		if strings.HasPrefix(rule, a) {
			return action(a)
		}
	}
	return change.NoAction
}
