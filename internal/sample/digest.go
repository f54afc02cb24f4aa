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
	// SQLServer is a destination's side: SQL Server 2019 or later (it has UTF-8 collations).
	SQLServer
	// ClickHouse is a destination's side.
	ClickHouse
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
// The digest is the exact sum, over all rows, of the first 56 bits of the SHA-256 (MySQL
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

// digestTexts are the expressions for the text of a value, @ standing for its column, in UTF-8, without regard to a session's settings.
var digestTexts = map[Dialect]map[digestKind]string{
	MySQL: {
		digestInteger: "CAST(@ AS CHAR CHARACTER SET utf8mb4)",
		digestMoney:   "CAST(CAST(@ AS DECIMAL(65,2)) AS CHAR CHARACTER SET utf8mb4)",
		digestPrice:   "CAST(CAST(@ AS DECIMAL(65,6)) AS CHAR CHARACTER SET utf8mb4)",
		digestTime:    "CONVERT(DATE_FORMAT(@, '%Y-%m-%d %H:%i:%s.%f') USING utf8mb4)",
		digestText:    "CONVERT(@ USING utf8mb4)",
		digestBytes:   "CONVERT(LOWER(HEX(@)) USING utf8mb4)",
	},
	PostgreSQL: {
		digestInteger: "@::text",
		digestMoney:   "round(@, 2)::text",
		digestPrice:   "round(@, 6)::text",
		digestTime:    "to_char(@, 'YYYY-MM-DD HH24:MI:SS.US')",
		digestText:    "@::text",
		digestBytes:   "encode(@, 'hex')",
	},
	SQLServer: {
		digestInteger: "CAST(@ AS varchar(20))",
		digestMoney:   "CAST(CAST(@ AS decimal(38, 2)) AS varchar(40))",
		digestPrice:   "CAST(CAST(@ AS decimal(38, 6)) AS varchar(40))",
		digestTime:    "CONVERT(varchar(26), CAST(@ AS datetime2(6)), 121)",
		digestText:    "CAST(@ COLLATE Latin1_General_100_BIN2_UTF8 AS varchar(max))",
		digestBytes:   "LOWER(CONVERT(varchar(max), @, 2))",
	},
	ClickHouse: {
		digestInteger: "toString(@)",
		digestMoney:   "toDecimalString(CAST(@ AS Nullable(Decimal(65, 2))), 2)",
		digestPrice:   "toDecimalString(CAST(@ AS Nullable(Decimal(65, 6))), 6)",
		digestTime:    "toString(CAST(@ AS Nullable(DateTime64(6, 'UTC'))))",
		digestText:    "@",
		digestBytes:   "lower(hex(@))",
	},
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
	var answer, text string
	switch d {
	case PostgreSQL:
		text = strings.Join(texts, " || ")
		answer = "COUNT(*), round(COALESCE(SUM(%s), 0), 2), COALESCE(SUM(('x' || substr(encode(sha256(convert_to(%s, 'UTF8')), 'hex'), 1, 14))::bit(56)::bigint), 0)"
	case SQLServer:
		text = strings.Join(texts, " + ")
		answer = "COUNT_BIG(*), CAST(COALESCE(SUM(%s), 0) AS decimal(38, 2)), COALESCE(SUM(CAST(CONVERT(bigint, 0x00 + SUBSTRING(HASHBYTES('SHA2_256', %s), 1, 7)) AS decimal(38, 0))), 0)"
	case ClickHouse:
		text = "concat(" + strings.Join(texts, ", ") + ")"
		answer = "toString(count()), toDecimalString(COALESCE(SUM(CAST(%s AS Nullable(Decimal(65, 2)))), 0), 2), toString(sum(CAST(reinterpretAsUInt64(reverse(substring(SHA256(%s), 1, 7))) AS UInt128)))"
	case MySQL:
		text = "CONCAT(" + strings.Join(texts, ", ") + ")"
		answer = "COUNT(*), CAST(COALESCE(SUM(%s), 0) AS DECIMAL(65,2)), COALESCE(SUM(CAST(CONV(SUBSTR(SHA2(%s, 256), 1, 14), 16, 10) AS UNSIGNED)), 0)"
	}
	return "SELECT " + fmt.Sprintf(answer, total, text) + " FROM " + from + where
}

// digestValue is an expression for a value's text: length in bytes, colon, text; or a dash.
func digestValue(d Dialect, c digestColumn) string {
	text := digestTexts[d][c.kind]
	text = strings.ReplaceAll(text, "@", quoteColumn(d, c.name))
	var form string
	switch d {
	case PostgreSQL:
		form = "COALESCE(octet_length(%[1]s) || ':' || %[1]s, '-')"
	case SQLServer:
		form = "COALESCE(CAST(DATALENGTH(%[1]s) AS varchar(11)) + ':' + %[1]s, '-')"
	case ClickHouse:
		form = "COALESCE(concat(toString(length(%[1]s)), ':', %[1]s), '-')"
	case MySQL:
		form = "COALESCE(CONCAT(LENGTH(%[1]s), ':', %[1]s), '-')"
	}
	return fmt.Sprintf(form, text)
}

func quoteColumn(d Dialect, name string) string {
	switch d {
	case PostgreSQL:
		return `"` + name + `"`
	case SQLServer:
		return "[" + name + "]"
	case MySQL, ClickHouse:
	}
	return quoteName(name)
}
