package sample

import (
	"fmt"
	"strings"

	"github.com/etlsandbox/cdc/schemas/views"
)

// Dialect is a SQL dialect in which a digest can be asked for.
type Dialect int

const (
	// MySQL is the source's side: MySQL 5.7 or later, MariaDB 10.5 or later.
	MySQL Dialect = iota
	// PostgreSQL is a destination's side, in a database with encoding UTF8.
	PostgreSQL
)

// FlatSelect is the SELECT of the shipped view on one line, without a semicolon, to be
// sent with the Sakila schema as the current one.
func FlatSelect() string { return selectOf(views.Example()) }

// selectOf takes the SELECT out of a view file of ours, none of whose literals holds
// more than one blank in a row.
func selectOf(file string) string {
	_, query, _ := strings.Cut(file, " AS\nSELECT")
	return strings.TrimSuffix("SELECT "+strings.Join(strings.Fields(query), " "), ";")
}

// FlatSource is the shipped view as the table expression that FlatDigest takes on the
// source's side.
func FlatSource() string { return "(" + FlatSelect() + ") AS v" }

// FlatDigest is a statement that answers with one row about the shipped view: the
// count of rows, the sum of Amount and a digest. Two sides that hold the same rows
// give the same three, whatever the dialect, the session's settings or the order in
// which they read.
//
// The digest is the exact sum, over all rows, of the first 60 bits of the SHA-256 (MySQL
// 9.6 has no MD5 any more) of the row's text, in which each value is preceded by its length and NULL is a dash; so no
// two different rows have the same text, and a row held twice counts twice.
//
// from is a table expression: FlatSource() on the source, a (quoted) table name in a
// destination. where may be empty or a condition without the keyword, such as
// `NOT "IsDeleted"`.
func FlatDigest(d Dialect, from, where string) string {
	columns := []digestColumn{
		{"RentalId", digestInteger}, {"CustomerName", digestText}, {"Amount", digestMoney}, {"RentalDate", digestTime},
		{"Category", digestText}, {"PaymentId", digestInteger}, {"CategoryId", digestInteger},
	}
	return digestSQL(d, columns, "Amount", from, where)
}

// LedgerSum is a statement that answers with the total of the ledger's payments and
// their number, from the shipped view's rows in a destination or on the source
// (arguments as those of FlatDigest). Both never change while any load of this package
// runs.
func LedgerSum(d Dialect, from, where string) string {
	cond := fmt.Sprintf("%s <= %d", quoteColumn(d, "PaymentId"), LedgerSize)
	if where != "" {
		cond = "(" + where + ") AND " + cond
	}
	return fmt.Sprintf("SELECT COALESCE(SUM(%s), 0), COUNT(*) FROM %s WHERE %s", quoteColumn(d, "Amount"), from, cond)
}

type digestKind int

const (
	digestInteger digestKind = iota
	digestMoney              // two decimals
	digestTime               // a timestamp without zone
	digestText
	digestBytes
	digestPrice // six decimals
)

type digestColumn struct {
	name string
	kind digestKind
}

func digestSQL(d Dialect, columns []digestColumn, sum, from, where string) string {
	var texts []string
	for _, c := range columns {
		texts = append(texts, digestValue(d, c))
	}
	if where != "" {
		where = " WHERE " + where
	}
	total := quoteColumn(d, sum)
	if d == PostgreSQL {
		return fmt.Sprintf("SELECT COUNT(*), round(COALESCE(SUM(%s), 0), 2), COALESCE(SUM(('x' || substr(encode(sha256(convert_to(%s, 'UTF8')), 'hex'), 1, 15))::bit(60)::bigint), 0) FROM %s%s",
			total, strings.Join(texts, " || "), from, where)
	}
	return fmt.Sprintf("SELECT COUNT(*), CAST(COALESCE(SUM(%s), 0) AS DECIMAL(65,2)), COALESCE(SUM(CAST(CONV(SUBSTR(SHA2(CONCAT(%s), 256), 1, 15), 16, 10) AS UNSIGNED)), 0) FROM %s%s",
		total, strings.Join(texts, ", "), from, where)
}

// digestValue is an expression for a value's text: length in bytes, colon, text; or a dash.
func digestValue(d Dialect, c digestColumn) string {
	name := quoteColumn(d, c.name)
	if d == PostgreSQL {
		text := name + "::text"
		switch c.kind {
		case digestMoney:
			text = "round(" + name + ", 2)::text"
		case digestPrice:
			text = "round(" + name + ", 6)::text"
		case digestTime:
			text = "to_char(" + name + ", 'YYYY-MM-DD HH24:MI:SS.US')"
		case digestBytes:
			text = "encode(" + name + ", 'hex')"
		case digestInteger, digestText:
		}
		return fmt.Sprintf("COALESCE(octet_length(%s) || ':' || %s, '-')", text, text)
	}
	text := "CONVERT(" + name + " USING utf8mb4)"
	switch c.kind {
	case digestMoney:
		text = "CAST(CAST(" + name + " AS DECIMAL(65,2)) AS CHAR CHARACTER SET utf8mb4)"
	case digestPrice:
		text = "CAST(CAST(" + name + " AS DECIMAL(65,6)) AS CHAR CHARACTER SET utf8mb4)"
	case digestTime:
		text = "CONVERT(DATE_FORMAT(" + name + ", '%Y-%m-%d %H:%i:%s.%f') USING utf8mb4)"
	case digestBytes:
		text = "CONVERT(LOWER(HEX(" + name + ")) USING utf8mb4)"
	case digestInteger:
		text = "CAST(" + name + " AS CHAR CHARACTER SET utf8mb4)"
	case digestText:
	}
	return fmt.Sprintf("COALESCE(CONCAT(LENGTH(%s), ':', %s), '-')", text, text)
}

func quoteColumn(d Dialect, name string) string {
	if d == PostgreSQL {
		return `"` + name + `"`
	}
	return quoteName(name)
}
