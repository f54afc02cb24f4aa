package clickhouse

import (
	"context"
	"fmt"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// Digest has the server compute the digest of the rows that Range would read, and tells where they stand.
func (r *Reader) Digest(ctx context.Context, stream string, t sinks.Target, rng change.KeyRange) (d sinks.Digest, at change.Position, err error) {
	tg, err := r.target(ctx, t)
	if err != nil {
		return d, at, err
	}
	where, err := tg.rangeCondition(rng)
	if err != nil {
		return d, at, err
	}
	at, err = r.steady(ctx, stream, tg, func() error {
		d, err = r.digest(ctx, tg, where)
		return err
	})
	return d, at, err
}

func (r *Reader) digest(ctx context.Context, tg *target, where string) (d sinks.Digest, err error) {
	texts := make([]string, len(tg.columns))
	for i := range tg.columns {
		texts[i] = fmt.Sprintf("ifNull(concat(toString(length(assumeNotNull(%s))), ':', %[1]s), '-')", digestText(&tg.columns[i]))
	}
	var rows uint64
	err = r.queryRow(ctx, fmt.Sprintf(`SELECT count(), sum(bitShiftRight(reinterpretAsUInt64(reverse(substring(h, 1, 8))), 4)),
  sum(bitAnd(reinterpretAsUInt64(reverse(substring(h, 8, 8))), 1152921504606846975))
FROM (SELECT MD5(arrayStringConcat([%s])) AS h FROM %s FINAL WHERE %s)`, strings.Join(texts, ", "), tg.name, tg.shownOnly(where)), &rows, &d.Sums[0], &d.Sums[1])
	if err != nil {
		return d, fmt.Errorf("compute the digest of %s: %w", tg.view, err)
	}
	d.Rows = int64(rows)
	return d, nil
}

// digestText is an expression for the text of a column's value that sinks.Digest hashes; NULL for NULL.
func digestText(c *column) string {
	e := quoteName(c.name)
	switch {
	case c.typ.Kind == change.Bytes:
		return "toNullable(lower(hex(" + e + ")))"
	case c.typ.Kind == change.Float, c.typ.Kind == change.Double:
		return "toNullable(lower(leftPad(hex(reinterpretAsUInt64(toFloat64(" + e + "))), 16, '0')))"
	}
	return readText(c)
}
