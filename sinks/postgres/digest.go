package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// Digest has the server compute the digest of the rows that Range would read, and tells where they stand.
func (r *Reader) Digest(ctx context.Context, stream string, t sinks.Target, rng change.KeyRange) (d sinks.Digest, at change.Position, err error) {
	conn, err := r.session(ctx)
	if err != nil {
		return d, at, err
	}
	tg, err := newTarget(t, r.cfg.Schema, 0)
	if err != nil {
		return d, at, err
	}
	where, err := tg.rangePart(rng)
	if err != nil {
		return d, at, err
	}
	err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if at, err = r.shown(ctx, tx, stream, t.From); err != nil {
			return err
		}
		d, err = tg.digest(ctx, tx, where)
		return err
	})
	return d, at, err
}

func (tg *target) digest(ctx context.Context, tx pgx.Tx, where part) (d sinks.Digest, err error) {
	texts := make([]string, len(tg.columns))
	for i, c := range tg.columns {
		texts[i] = fmt.Sprintf("coalesce(octet_length(%s) || ':' || %[1]s, '-')", digestText(c, "t"))
	}
	const sum = "mod(coalesce(sum(('x' || substr(h, %d, 15))::bit(60)::bigint), 0), 18446744073709551616)::text"
	sql := fmt.Sprintf("SELECT count(*), "+sum+", "+sum+" FROM (SELECT md5(array_to_string(ARRAY[%s], '')) AS h FROM %s AS t WHERE %s) AS hashes",
		1, 16, strings.Join(texts, ", "), tg.name, tg.shownOnly(where.sql))
	var sums [2]string
	if err := tx.QueryRow(ctx, sql, where.args...).Scan(&d.Rows, &sums[0], &sums[1]); err != nil {
		return d, fmt.Errorf("compute the digest of %s: %w", tg.name, err)
	}
	for i, s := range sums {
		if d.Sums[i], err = strconv.ParseUint(s, 10, 64); err != nil {
			return d, fmt.Errorf("compute the digest of %s: %w", tg.name, err)
		}
	}
	return d, nil
}

// digestText is an expression for the text of a column's value that sinks.Digest hashes.
func digestText(c column, alias string) string {
	e := alias + "." + ident(c.name)
	switch {
	case c.form == formBits: // all but the first bit of a bigint are digits
		const half = "('0' || substr(lpad(%s::text, 64, '0'), %d, 32))::bit(33)::bigint"
		return fmt.Sprintf("("+half+"::numeric * 4294967296 + "+half+")::text", e, 1, e, 33)
	case c.typ.Kind == change.Float, c.typ.Kind == change.Double:
		return "encode(float8send(" + e + "::double precision), 'hex')"
	case c.typ.Kind == change.Decimal:
		return fmt.Sprintf("CASE WHEN scale(%s) > 0 THEN rtrim(rtrim(%[1]s::text, '0'), '.') ELSE %[1]s::text END", e)
	}
	return readText(c, alias)
}
