// Package ddl reads the statements of a binlog and says what they do to tables. The text is a hint:
// what it makes of a table is looked up in the catalog, so the parser need not know every dialect. A
// statement that it cannot read, but that names a captured table, is never taken for harmless.
package ddl

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/pingcap/tidb/pkg/parser"
	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/mysql"
	_ "github.com/pingcap/tidb/pkg/parser/test_driver" // the parser needs a driver for literals

	"github.com/etlsandbox/cdc/schemas/change"
)

// Action is what a statement does to a table.
type Action uint8

// The actions.
const (
	Create     Action = iota + 1 // the table appears
	Replace                      // a table of the name is dropped, if there is one, and a new one appears
	Drop                         // the table is gone
	DropAll                      // every table of the database Table.DB is gone
	Rename                       // the table is called To from now on
	AddColumns                   // Columns are added
	Reshape                      // the named columns change their type, name or place, or go; all columns if none is named
	Keys                         // indexes or foreign keys change
	Rows                         // rows are gone or new without being logged
	Write                        // a statement changes rows of the table, or of any if none is named, and the rows are not logged
)

// Change is one effect of a statement.
type Change struct {
	Action  Action
	Table   change.TableID
	To      change.TableID
	Columns []Column
	// What says it in the statement's words: "DROP COLUMN", "TRUNCATE TABLE".
	What string
	// IfNotExists of Create: nothing happens where the table exists.
	IfNotExists bool
}

// Column is a column that a statement adds, or names.
type Column struct {
	Name string
	// After is the column that it is put behind; First puts it before all others; neither: at the end.
	After string
	First bool
	// Filled says that rows which exist already get something else than NULL.
	Filled bool
}

// Session is what a statement's meaning depends on.
type Session struct {
	DB string // the default database
	// ANSIQuotes and NoBackslash are the sql_mode flags that change how text is read.
	ANSIQuotes, NoBackslash bool
}

// ErrUnreadable says that a statement may change tables and could not be read; Mentions tells which.
var ErrUnreadable = errors.New("statement cannot be read")

// Read returns what a statement does to tables, nothing for the many that do nothing to them.
func Read(sql string, s Session) ([]Change, error) {
	words := leading(sql, 6)
	if len(words) > 0 && (words[0] == "select" || words[0] == "do" || words[0] == "call") {
		// Logged for a stored function that writes: the text does not say where.
		return []Change{{Action: Write, What: strings.ToUpper(words[0])}}, nil
	}
	if !relevant(words) {
		return nil, nil
	}
	plain := orReplace.ReplaceAllString(sql, "CREATE $1") // MariaDB's; the parser does not know it
	stmts, err := parse(plain, s)
	if err != nil {
		// Its first words name it; what follows may be data.
		return nil, fmt.Errorf("%w: %s …: %w", ErrUnreadable, strings.ToUpper(strings.Join(words[:min(3, len(words))], " ")), err)
	}
	var all []Change
	for _, stmt := range stmts {
		all = append(all, read(stmt, s.DB)...)
	}
	if len(plain) != len(sql) {
		for i := range all {
			all[i].Action = Replace
		}
	}
	return all, nil
}

var orReplace = regexp.MustCompile(`(?i)^\s*create\s+or\s+replace\s+((?:temporary\s+)?table\s)`)

// parse calls the parser, which is not ours to trust with arbitrary bytes.
func parse(sql string, s Session) (stmts []ast.StmtNode, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the SQL parser failed: %v", r)
		}
	}()
	p := parser.New()
	var mode mysql.SQLMode
	if s.ANSIQuotes {
		mode |= mysql.ModeANSIQuotes
	}
	if s.NoBackslash {
		mode |= mysql.ModeNoBackslashEscapes
	}
	p.SetSQLMode(mode)
	stmts, _, err = p.Parse(sql, "", "")
	return stmts, err
}

// relevant reports whether a statement that begins with these words can change a table.
func relevant(words []string) bool {
	if len(words) == 0 {
		return false
	}
	rest := words[1:]
	is := func(options ...string) bool {
		for _, w := range rest {
			for _, o := range options {
				if w == o {
					return true
				}
			}
			switch w {
			case "or", "replace", "temporary", "online", "ignore", "unique", "fulltext", "spatial", "offline", "if", "exists":
			default:
				return false
			}
		}
		return false
	}
	switch words[0] {
	case "alter":
		return is("table")
	case "create":
		return is("table", "index")
	case "drop":
		return is("table", "tables", "index", "database", "schema")
	case "rename":
		return is("table", "tables")
	case "truncate", "insert", "update", "delete", "replace", "load", "with", "import":
		return true
	}
	return false
}

func id(t *ast.TableName, db string) change.TableID {
	if t.Schema.O != "" {
		db = t.Schema.O
	}
	return change.TableID{DB: db, Name: t.Name.O}
}

func read(stmt ast.StmtNode, db string) []Change {
	switch n := stmt.(type) {
	case *ast.AlterTableStmt:
		return alter(n, db)
	case *ast.CreateTableStmt:
		if n.TemporaryKeyword == ast.TemporaryNone {
			return []Change{{Action: Create, Table: id(n.Table, db), What: "CREATE TABLE", IfNotExists: n.IfNotExists}}
		}
	case *ast.DropTableStmt:
		if n.TemporaryKeyword == ast.TemporaryNone && !n.IsView {
			return each(n.Tables, db, Drop, "DROP TABLE")
		}
	case *ast.DropDatabaseStmt:
		return []Change{{Action: DropAll, Table: change.TableID{DB: n.Name.O}, What: "DROP DATABASE"}}
	case *ast.TruncateTableStmt:
		return []Change{{Action: Rows, Table: id(n.Table, db), What: "TRUNCATE TABLE"}}
	case *ast.RenameTableStmt:
		var all []Change
		for _, t := range n.TableToTables {
			all = append(all, Change{Action: Rename, Table: id(t.OldTable, db), To: id(t.NewTable, db), What: "RENAME TABLE"})
		}
		return all
	case *ast.CreateIndexStmt:
		return []Change{{Action: Keys, Table: id(n.Table, db), What: "CREATE INDEX"}}
	case *ast.DropIndexStmt:
		return []Change{{Action: Keys, Table: id(n.Table, db), What: "DROP INDEX"}}
	case *ast.InsertStmt:
		return writes(n.Table, db, "INSERT or REPLACE")
	case *ast.UpdateStmt:
		return writes(n.TableRefs, db, "UPDATE")
	case *ast.DeleteStmt:
		return writes(n.TableRefs, db, "DELETE") // the list of several tables may hold aliases
	case *ast.LoadDataStmt:
		return each([]*ast.TableName{n.Table}, db, Write, "LOAD DATA")
	}
	return nil
}

func each(tables []*ast.TableName, db string, a Action, what string) []Change {
	all := make([]Change, len(tables))
	for i, t := range tables {
		all[i] = Change{Action: a, Table: id(t, db), What: what}
	}
	return all
}

// writes names the tables that a statement may write to; those that it only reads from, in subqueries,
// are elsewhere in the statement.
func writes(refs *ast.TableRefsClause, db, what string) []Change {
	var v tableNames
	refs.Accept(&v)
	return each(v.names, db, Write, what)
}

// tableNames collects the tables that a statement names.
type tableNames struct{ names []*ast.TableName }

// Enter implements ast.Visitor.
func (v *tableNames) Enter(n ast.Node) (ast.Node, bool) {
	if t, ok := n.(*ast.TableName); ok {
		v.names = append(v.names, t)
	}
	return n, false
}

// Leave implements ast.Visitor.
func (v *tableNames) Leave(n ast.Node) (ast.Node, bool) { return n, true }
