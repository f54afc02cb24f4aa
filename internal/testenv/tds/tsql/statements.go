package tsql

import "github.com/etlsandbox/cdc/internal/testenv/tds/datatype"

// Statement is a statement of a batch.
type Statement interface{ statement() }

// Source is a statement with the place it was written at. Parse wraps every statement so.
type Source struct {
	Statement Statement
	Text      string
	Line      int
}

func (*Source) statement() {}

// Output is an OUTPUT clause; Into is nil if the rows go to the client.
type Output struct {
	Items   []Item
	Into    Name
	Columns []string
}

// Assignment is column = expression. Op is "=", "+=" and so on.
type Assignment struct {
	Column string
	Op     string
	X      Expr
}

// Data statements.
type (
	// SelectStatement returns rows, fills variables or a new table.
	SelectStatement struct{ Query *Query }
	// Insert fills a table from Rows, Query or, without either, its defaults.
	Insert struct {
		With    []CTE
		Target  TableRef
		Columns []string
		Output  *Output
		Rows    [][]Expr // a nil expression is DEFAULT
		Query   *Query
	}
	// Update changes rows. Target is a table or an alias of From.
	Update struct {
		With   []CTE
		Top    Expr
		Target TableRef
		Set    []Assignment
		Output *Output
		From   []Table
		Where  Expr
	}
	// Delete removes rows. Target is a table or an alias of From.
	Delete struct {
		With   []CTE
		Top    Expr
		Target TableRef
		Output *Output
		From   []Table
		Where  Expr
	}
	// Truncate empties a table.
	Truncate struct{ Table Name }
	// InsertBulk announces a bulk load.
	InsertBulk struct {
		Table   Name
		Columns []ColumnDef
		Options []string
	}
)

// ColumnDef is a column of CREATE TABLE.
type ColumnDef struct {
	Name     string
	Type     datatype.Type
	Collated bool
	// Null is nil unless NULL or NOT NULL was written.
	Null *bool
	// Identity is set for IDENTITY(Seed, Step).
	Identity   bool
	Seed, Step int64
	Default    Expr
	// DefaultName names the default's constraint.
	DefaultName string
}

// Constraint is PRIMARY KEY, UNIQUE or CHECK.
type Constraint struct {
	Name      string
	Primary   bool
	Columns   []IndexColumn
	Clustered *bool
	Check     Expr
	// CheckText is the check as written.
	CheckText string
}

// IndexColumn is a column of an index.
type IndexColumn struct {
	Name string
	Desc bool
}

// Statements that define things.
type (
	// CreateTable makes a table.
	CreateTable struct {
		Name        Name
		Columns     []ColumnDef
		Constraints []Constraint
	}
	// DropTable removes tables.
	DropTable struct {
		IfExists bool
		Names    []Name
	}
	// AlterTable changes a table in one way.
	AlterTable struct {
		Name Name
		// One of these is set.
		AddColumns      []ColumnDef
		AddConstraints  []Constraint
		AlterColumn     *ColumnDef
		DropColumns     []string
		DropConstraints []string
		IfExists        bool
	}
	// CreateIndex makes an index.
	CreateIndex struct {
		Unique, Clustered bool
		Name              string
		Table             Name
		Columns           []IndexColumn
		Include           []string
		Where             Expr
		WhereText         string
	}
	// DropIndex removes an index.
	DropIndex struct {
		IfExists bool
		Name     string
		Table    Name
	}
	// CreateSchema makes a schema.
	CreateSchema struct{ Name string }
	// DropSchema removes one.
	DropSchema struct {
		IfExists bool
		Name     string
	}
	// CreateDatabase makes a database.
	CreateDatabase struct{ Name string }
	// DropDatabase removes one.
	DropDatabase struct {
		IfExists bool
		Name     string
	}
	// AlterDatabase sets an option; Name is empty for the current one.
	AlterDatabase struct{ Name, Option, Value string }
	// CreateView makes a view.
	CreateView struct {
		Name    Name
		Columns []string
		Query   *Query
		Alter   bool
	}
	// DropView removes views.
	DropView struct {
		IfExists bool
		Names    []Name
	}
)

// Statements of a batch's flow, its session and its transaction.
type (
	// Block is BEGIN … END.
	Block struct{ Body []Statement }
	// If is IF; Else may be nil.
	If struct {
		Cond       Expr
		Then, Else Statement
	}
	// While is WHILE.
	While struct {
		Cond Expr
		Body Statement
	}
	// Break leaves a loop, Continue goes on with it.
	Break    struct{}
	Continue struct{}
	// Try is BEGIN TRY … END TRY BEGIN CATCH … END CATCH.
	Try struct{ Body, Catch []Statement }
	// Throw raises an error; without Number the one being handled.
	Throw struct{ Number, Message, State Expr }
	// RaiseError is RAISERROR without formatting.
	RaiseError struct{ Message, Severity, State Expr }
	// Print sends a notice.
	Print struct{ X Expr }
	// Return ends the batch.
	Return struct{}
	// Declare declares variables.
	Declare struct{ Variables []VariableDef }
	// DeclareTable declares a table variable, alone.
	DeclareTable struct{ CreateTable }
	// SetVariable assigns; Op is "=", "+=" and so on.
	SetVariable struct {
		Name string
		Op   string
		X    Expr
	}
	// SetOption changes the session; names and value are in upper case.
	SetOption struct {
		Name  string
		Value string
	}
	// BeginTran begins a transaction, CommitTran and RollbackTran end one, SaveTran marks a place in it.
	BeginTran    struct{ Name string }
	CommitTran   struct{ Name string }
	RollbackTran struct{ Name string }
	SaveTran     struct{ Name string }
	// Use changes the database.
	Use struct{ Database string }
	// WaitFor is WAITFOR DELAY.
	WaitFor struct{ Delay Expr }
	// Exec calls a procedure, or with Text runs T-SQL.
	Exec struct {
		Procedure Name
		Args      []Argument
		Text      Expr
	}
)

// VariableDef is a variable; Value is nil unless given.
type VariableDef struct {
	Name  string
	Type  datatype.Type
	Value Expr
}

// Argument is an argument of a procedure; Name is empty if it goes by position.
type Argument struct {
	Name   string
	X      Expr
	Output bool
}

func (*SelectStatement) statement() {}
func (*Insert) statement()          {}
func (*Update) statement()          {}
func (*Delete) statement()          {}
func (*Truncate) statement()        {}
func (*InsertBulk) statement()      {}
func (*CreateTable) statement()     {}
func (*DropTable) statement()       {}
func (*AlterTable) statement()      {}
func (*CreateIndex) statement()     {}
func (*DropIndex) statement()       {}
func (*CreateSchema) statement()    {}
func (*DropSchema) statement()      {}
func (*CreateDatabase) statement()  {}
func (*DropDatabase) statement()    {}
func (*AlterDatabase) statement()   {}
func (*CreateView) statement()      {}
func (*DropView) statement()        {}
func (*Block) statement()           {}
func (*If) statement()              {}
func (*While) statement()           {}
func (*Break) statement()           {}
func (*Continue) statement()        {}
func (*Try) statement()             {}
func (*Throw) statement()           {}
func (*RaiseError) statement()      {}
func (*Print) statement()           {}
func (*Return) statement()          {}
func (*Declare) statement()         {}
func (*DeclareTable) statement()    {}
func (*SetVariable) statement()     {}
func (*SetOption) statement()       {}
func (*BeginTran) statement()       {}
func (*CommitTran) statement()      {}
func (*RollbackTran) statement()    {}
func (*SaveTran) statement()        {}
func (*Use) statement()             {}
func (*WaitFor) statement()         {}
func (*Exec) statement()            {}
