package datatype

import (
	"fmt"
	"strings"
)

// Collation is one of the few collations that the double implements. Whatever the collation, SQL Server compares
// text as if the shorter value were padded with spaces.
type Collation uint8

const (
	// DefaultCollation ignores case, as most servers' and this double's do.
	DefaultCollation Collation = iota
	// BIN2 compares code points.
	BIN2
	// BIN2UTF8 compares code points, and varchar is UTF-8.
	BIN2UTF8
)

var collationNames = [...]string{"SQL_Latin1_General_CP1_CI_AS", "Latin1_General_100_BIN2", "Latin1_General_100_BIN2_UTF8"}

func (c Collation) String() string { return collationNames[c] }

// Binary reports that the collation compares code points.
func (c Collation) Binary() bool { return c != DefaultCollation }

// UTF8 reports that varchar holds UTF-8 under the collation.
func (c Collation) UTF8() bool { return c == BIN2UTF8 }

// ParseCollation finds a collation by its name.
func ParseCollation(name string) (Collation, error) {
	if strings.EqualFold(name, "DATABASE_DEFAULT") {
		return DefaultCollation, nil
	}
	for i, n := range collationNames {
		if strings.EqualFold(n, name) {
			return Collation(i), nil
		}
	}
	return 0, fmt.Errorf("collation %s is not one that the double implements; it has %s", name, strings.Join(collationNames[:], ", "))
}

// Wire is the collation in five bytes as TDS carries it: locale, comparison flags, version and sort order.
func (c Collation) Wire() [5]byte {
	switch c {
	case BIN2:
		return [5]byte{0x09, 0x04, 0x00, 0x22, 0}
	case BIN2UTF8:
		return [5]byte{0x09, 0x04, 0x00, 0x26, 0}
	}
	return [5]byte{0x09, 0x04, 0xd0, 0x00, 0x34}
}
