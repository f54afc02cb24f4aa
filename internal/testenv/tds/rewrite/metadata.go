package rewrite

import (
	"fmt"
	"slices"
	"strings"

	"github.com/etlsandbox/cdc/internal/testenv/tds/datatype"
	"github.com/etlsandbox/cdc/internal/testenv/tds/tsql"
)

// metadata answers the functions that ask the catalog or the session. Their answers are put into the statement as
// constants, so their arguments must be literals or variables.
func (b *binder) metadata(x *tsql.Call) (typed, bool, error) {
	constant := func(n int32) (typed, bool, error) {
		if n == 0 {
			return typed{sql: "NULL::int4", typ: datatype.Simple(datatype.Int), nullable: true}, true, nil
		}
		return typed{sql: fmt.Sprintf("%d::int4", n), typ: datatype.Simple(datatype.Int), nullable: true}, true, nil
	}
	name := func(s string) (typed, bool, error) {
		return typed{sql: Literal(s) + "::text", typ: datatype.NVar(128), nullable: true}, true, nil
	}
	arg := func(i int) (string, error) {
		if i >= len(x.Args) {
			return "", nil
		}
		return b.known(x.Args[i])
	}
	first, err := arg(0)
	switch x.Name {
	case "object_id", "schema_id", "db_id", "col_length":
		if err != nil {
			return typed{}, true, err
		}
	}
	switch x.Name {
	case "object_id":
		kind, err := arg(1)
		if err != nil {
			return typed{}, true, err
		}
		n, err := b.objectID(first, kind)
		if err != nil {
			return typed{}, true, err
		}
		return constant(n)
	case "schema_id":
		n, err := b.Catalog.Schema(b.ctx, first)
		if err != nil {
			return typed{}, true, err
		}
		return constant(n)
	case "db_id":
		n, err := b.Catalog.Database(b.ctx, first)
		if err != nil {
			return typed{}, true, err
		}
		return constant(n)
	case "col_length":
		return b.columnLength(x, first, constant)
	case "db_name":
		if len(x.Args) == 0 {
			return name(b.State.Database)
		}
	case "schema_name":
		if len(x.Args) == 0 {
			return name("dbo")
		}
		e, err := b.value(x.Args[0])
		return typed{sql: fmt.Sprintf("tds.schema_name(%s)", e.sql), typ: datatype.NVar(128), nullable: true}, true, err
	case "type_name":
		e, err := b.value(x.Args[0])
		return typed{sql: fmt.Sprintf("tds.type_name((%s)::int4)", e.sql), typ: datatype.NVar(128), nullable: true}, true, err
	case "object_name":
		e, err := b.value(x.Args[0])
		return typed{sql: fmt.Sprintf("tds.object_name((%s)::int4)", e.sql), typ: datatype.NVar(128), nullable: true}, true, err
	case "original_login", "suser_sname", "user_name":
		if len(x.Args) == 0 {
			return name(b.State.Login)
		}
	case "xact_state":
		return typed{sql: fmt.Sprintf("(%d)::int2", b.State.XactState), typ: datatype.Simple(datatype.SmallInt)}, true, nil
	case "error_number", "error_message", "error_severity":
		return b.errorFunction(x.Name)
	case "serverproperty":
		return b.serverProperty(x)
	case "has_perms_by_name":
		return b.permission(x)
	}
	return typed{}, false, nil
}

// known is the text of a literal or a variable; NULL is empty.
func (b *binder) known(x tsql.Expr) (string, error) {
	switch x := x.(type) {
	case *tsql.String:
		return x.Text, nil
	case *tsql.Variable:
		v, ok := b.Variables[strings.ToLower(x.Name)]
		if !ok {
			return "", fail(137, "Must declare the scalar variable \"%s\".", x.Name)
		}
		if v.Value.Null {
			return "", nil
		}
		return datatype.Load(v.Value.Text), nil
	}
	return "", refuse("an argument that is neither a literal nor a variable")
}

func (b *binder) objectID(text, kind string) (int32, error) {
	if text == "" {
		return 0, nil
	}
	name, err := tsql.ParseName(text)
	if err != nil {
		return 0, nil //nolint:nilerr // as SQL Server answers for what is no name
	}
	t, err := b.Catalog.Table(b.ctx, name)
	if err != nil || t == nil {
		return 0, err
	}
	switch strings.ToUpper(strings.TrimSpace(kind)) {
	case "":
	case "U":
		if t.View {
			return 0, nil
		}
	case "V":
		if !t.View {
			return 0, nil
		}
	default:
		return 0, refuse("OBJECT_ID for objects of type %s", kind)
	}
	return t.ID, nil
}

func (b *binder) columnLength(x *tsql.Call, table string, constant func(int32) (typed, bool, error)) (typed, bool, error) {
	if len(x.Args) != 2 {
		return typed{}, true, fail(174, "The col_length function requires 2 argument(s).")
	}
	column, err := b.known(x.Args[1])
	if err != nil {
		return typed{}, true, err
	}
	name, err := tsql.ParseName(table)
	if err != nil {
		return constant(0)
	}
	t, err := b.Catalog.Table(b.ctx, name)
	if err != nil {
		return typed{}, true, err
	}
	if t == nil {
		return constant(0)
	}
	c, err := t.column(column)
	if err != nil {
		return constant(0)
	}
	return constant(storedLength(c.Type))
}

// storedLength is a type's length in bytes, as sys.columns has it.
func storedLength(t datatype.Type) int32 {
	switch t.Kind {
	case datatype.NVarChar, datatype.NChar:
		if t.Length != datatype.Max {
			return int32(2 * t.Length)
		}
		return -1
	case datatype.VarChar, datatype.Char, datatype.VarBinary, datatype.Binary:
		return int32(t.Length)
	case datatype.Decimal:
		return int32(map[bool]int{t.Precision <= 9: 5, t.Precision > 9 && t.Precision <= 19: 9, t.Precision > 19 && t.Precision <= 28: 13, t.Precision > 28: 17}[true])
	case datatype.Time:
		return int32(timeBytes(t.Scale))
	case datatype.DateTime2:
		return int32(timeBytes(t.Scale) + 3)
	case datatype.DateTimeOffset:
		return int32(timeBytes(t.Scale) + 5)
	}
	return map[datatype.Kind]int32{
		datatype.Bit: 1, datatype.TinyInt: 1, datatype.SmallInt: 2, datatype.Int: 4, datatype.BigInt: 8, datatype.Real: 4,
		datatype.Float: 8, datatype.Date: 3, datatype.UniqueIdentifier: 16,
	}[t.Kind]
}

func timeBytes(scale int) int {
	switch {
	case scale <= 2:
		return 3
	case scale <= 4:
		return 4
	}
	return 5
}

func (b *binder) errorFunction(name string) (typed, bool, error) {
	integer := datatype.Simple(datatype.Int)
	e := b.State.Error
	switch {
	case name == "error_message" && e == nil:
		return typed{sql: "NULL::text", typ: datatype.NVar(4000), nullable: true}, true, nil
	case name == "error_message":
		return typed{sql: Literal(e.Text) + "::text", typ: datatype.NVar(4000), nullable: true}, true, nil
	case e == nil:
		return typed{sql: "NULL::int4", typ: integer, nullable: true}, true, nil
	case name == "error_number":
		return typed{sql: fmt.Sprintf("%d::int4", e.Number), typ: integer, nullable: true}, true, nil
	}
	return typed{sql: fmt.Sprintf("%d::int4", e.Severity()), typ: integer, nullable: true}, true, nil
}

// serverProperty answers the properties that clients ask for to know the version.
func (b *binder) serverProperty(x *tsql.Call) (typed, bool, error) {
	if len(x.Args) != 1 {
		return typed{}, true, fail(174, "The serverproperty function requires 1 argument(s).")
	}
	name, err := b.known(x.Args[0])
	if err != nil {
		return typed{}, true, err
	}
	answers := map[string]string{
		"productversion": "16.0.4236.2", "productlevel": "RTM", "edition": "Protocol double (64-bit)",
		"collation": datatype.DefaultCollation.String(), "productmajorversion": "16", "servername": "double",
	}
	if v, ok := answers[strings.ToLower(name)]; ok {
		return typed{sql: Literal(v) + "::text", typ: datatype.NVar(128), nullable: true}, true, nil
	}
	numbers := map[string]int32{"engineedition": 3, "isclustered": 0}
	if n, ok := numbers[strings.ToLower(name)]; ok {
		return typed{sql: fmt.Sprintf("%d::int4", n), typ: datatype.Simple(datatype.Int), nullable: true}, true, nil
	}
	return typed{}, true, refuse("SERVERPROPERTY('%s')", name)
}

// rights are the permissions that the double knows of.
var rights = []string{"CREATE TABLE", "ALTER", "SELECT", "INSERT", "UPDATE", "DELETE", "REFERENCES", "CONTROL", "VIEW DEFINITION"}

// permission answers HAS_PERMS_BY_NAME: the one login may do everything, on what there is.
func (b *binder) permission(x *tsql.Call) (typed, bool, error) {
	if len(x.Args) != 3 {
		return typed{}, true, refuse("HAS_PERMS_BY_NAME with %d arguments", len(x.Args))
	}
	var id int32
	right, err := b.known(x.Args[2])
	if err == nil && !slices.Contains(rights, strings.ToUpper(right)) {
		err = refuse("HAS_PERMS_BY_NAME for the permission %s", right)
	}
	if err != nil {
		return typed{}, true, err
	}
	kind, err := b.known(x.Args[1])
	if err != nil {
		return typed{}, true, err
	}
	name := ""
	if call, ok := x.Args[0].(*tsql.Call); ok && call.Name == "db_name" && len(call.Args) == 0 {
		name = b.State.Database
	} else if name, err = b.known(x.Args[0]); err != nil {
		return typed{}, true, err
	}
	if !strings.EqualFold(kind, "OBJECT") {
		parsed, err := tsql.ParseName(name)
		if err != nil || len(parsed) > 1 {
			return typed{}, true, refuse("HAS_PERMS_BY_NAME for the name %s", name)
		}
		name = parsed[0]
	}
	switch strings.ToUpper(kind) {
	case "DATABASE":
		id, err = b.Catalog.Database(b.ctx, name)
	case "SCHEMA":
		id, err = b.Catalog.Schema(b.ctx, name)
	case "OBJECT":
		id, err = b.objectID(name, "")
	default:
		err = refuse("HAS_PERMS_BY_NAME for the class %s", kind)
	}
	out := typed{sql: "1::int4", typ: datatype.Simple(datatype.Int), nullable: true}
	if id == 0 {
		out.sql = "NULL::int4"
	}
	return out, true, err
}
