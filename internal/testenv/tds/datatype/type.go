// Package datatype describes SQL Server's data types as far as the double keeps them, and values of them.
package datatype

import (
	"fmt"
	"strings"
)

// Kind is a data type without its size.
type Kind uint8

// The kinds that the double implements. Everything else is refused by name.
const (
	Null Kind = iota // the type of a bare NULL
	Bit
	TinyInt
	SmallInt
	Int
	BigInt
	Decimal
	Real
	Float
	Date
	Time
	DateTime2
	DateTimeOffset
	NVarChar
	NChar
	VarChar
	Char
	VarBinary
	Binary
	UniqueIdentifier
)

var kindNames = [...]string{
	"null", "bit", "tinyint", "smallint", "int", "bigint", "decimal", "real", "float", "date", "time", "datetime2",
	"datetimeoffset", "nvarchar", "nchar", "varchar", "char", "varbinary", "binary", "uniqueidentifier",
}

// String is the kind's name in T-SQL.
func (k Kind) String() string { return kindNames[k] }

// Max is the length of a (max) type.
const Max = -1

// Type is a data type with its size.
type Type struct {
	Kind Kind
	// Length is the declared length of a character or binary type: UTF-16 units for nvarchar and nchar, bytes for
	// the others, or Max.
	Length int
	// Precision and Scale are those of decimal; Scale also counts the fractional digits of a time.
	Precision, Scale int
	// Collation is that of a character type; the zero value is the server's default.
	Collation Collation
}

// String is the type in T-SQL, without its collation.
func (t Type) String() string {
	switch t.Kind {
	case NVarChar, NChar, VarChar, Char, VarBinary, Binary:
		if t.Length == Max {
			return t.Kind.String() + "(max)"
		}
		return fmt.Sprintf("%s(%d)", t.Kind, t.Length)
	case Decimal:
		return fmt.Sprintf("decimal(%d,%d)", t.Precision, t.Scale)
	case Time, DateTime2, DateTimeOffset:
		return fmt.Sprintf("%s(%d)", t.Kind, t.Scale)
	}
	return t.Kind.String()
}

// IsText reports a character type.
func (t Type) IsText() bool { return t.Kind >= NVarChar && t.Kind <= Char }

// IsUnicode reports a character type of UTF-16 units.
func (t Type) IsUnicode() bool { return t.Kind == NVarChar || t.Kind == NChar }

// IsBinary reports varbinary and binary.
func (t Type) IsBinary() bool { return t.Kind == VarBinary || t.Kind == Binary }

// IsInteger reports bit and the integers.
func (t Type) IsInteger() bool { return t.Kind >= Bit && t.Kind <= BigInt }

// IsNumber reports integers, decimals and floats.
func (t Type) IsNumber() bool { return t.Kind >= Bit && t.Kind <= Float }

// IsTemporal reports dates and times.
func (t Type) IsTemporal() bool { return t.Kind >= Date && t.Kind <= DateTimeOffset }

// Postgres is the type that stores values of t.
func (t Type) Postgres() string {
	switch t.Kind {
	case Bit, TinyInt, SmallInt:
		return "int2"
	case Int:
		return "int4"
	case BigInt:
		return "int8"
	case Decimal:
		return fmt.Sprintf("numeric(%d,%d)", t.Precision, t.Scale)
	case Real:
		return "float4"
	case Float:
		return "float8"
	case Date:
		return "date"
	case Time:
		return fmt.Sprintf("time(%d)", min(t.Scale, storedDigits))
	case DateTime2:
		return fmt.Sprintf("timestamp(%d)", min(t.Scale, storedDigits))
	case DateTimeOffset:
		return fmt.Sprintf("timestamptz(%d)", min(t.Scale, storedDigits))
	case VarBinary, Binary:
		return "bytea"
	case UniqueIdentifier:
		return "uuid"
	}
	return "text"
}

// storedDigits is how many fractional digits of a second PostgreSQL keeps. SQL Server has one more; a value that
// uses it is refused.
const storedDigits = 6

// Simple is a type that needs no size.
func Simple(k Kind) Type { return Type{Kind: k} }

// NVar is nvarchar(n) in the default collation.
func NVar(n int) Type { return Type{Kind: NVarChar, Length: n} }

// New builds a type from its name and the sizes written behind it (Max for "max"), as T-SQL does in a declaration.
// An unknown or unsupported type is an error that names it.
func New(name string, sizes []int) (Type, error) {
	name = strings.ToLower(name)
	bad := func() (Type, error) {
		return Type{}, fmt.Errorf("data type %s%s is not one that the double implements", name, sizeText(sizes))
	}
	if name == "sysname" && len(sizes) == 0 {
		return NVar(128), nil
	}
	synonyms := map[string]string{"integer": "int", "dec": "decimal", "numeric": "decimal"}
	if s, ok := synonyms[name]; ok {
		name = s
	}
	for k := Bit; k <= UniqueIdentifier; k++ {
		if k.String() == name {
			return sized(k, sizes, bad)
		}
	}
	return bad()
}

func sized(k Kind, sizes []int, bad func() (Type, error)) (Type, error) {
	t := Type{Kind: k}
	switch k {
	case Decimal:
		t.Precision = 18
		if len(sizes) > 0 {
			t.Precision = sizes[0]
		}
		if len(sizes) > 1 {
			t.Scale = sizes[1]
		}
		if len(sizes) > 2 || t.Precision < 1 || t.Precision > 38 || t.Scale < 0 || t.Scale > t.Precision {
			return bad()
		}
		return t, nil
	case Float:
		if len(sizes) == 1 && sizes[0] >= 1 && sizes[0] <= 24 {
			return Type{Kind: Real}, nil
		}
		if len(sizes) > 1 || len(sizes) == 1 && (sizes[0] < 25 || sizes[0] > 53) {
			return bad()
		}
		return t, nil
	case Time, DateTime2, DateTimeOffset:
		t.Scale = 7
		if len(sizes) > 0 {
			t.Scale = sizes[0]
		}
		if len(sizes) > 1 || t.Scale < 0 || t.Scale > 7 {
			return bad()
		}
		return t, nil
	case NVarChar, NChar, VarChar, Char, VarBinary, Binary:
		t.Length = 1
		if len(sizes) > 0 {
			t.Length = sizes[0]
		}
		limit := 8000
		if t.IsUnicode() {
			limit = 4000
		}
		fixed := k == NChar || k == Char || k == Binary
		if len(sizes) > 1 || t.Length > limit || t.Length < 1 && (fixed || t.Length != Max) {
			return bad()
		}
		return t, nil
	}
	if len(sizes) > 0 {
		return bad()
	}
	return t, nil
}

func sizeText(sizes []int) string {
	if len(sizes) == 0 {
		return ""
	}
	var parts []string
	for _, n := range sizes {
		if n == Max {
			parts = append(parts, "max")
			continue
		}
		parts = append(parts, fmt.Sprint(n))
	}
	return "(" + strings.Join(parts, ",") + ")"
}
