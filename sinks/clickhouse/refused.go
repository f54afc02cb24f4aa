package clickhouse

import (
	"context"
	"fmt"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// refusedKey is a key of a query whose row a place refuses.
type refusedKey struct {
	key    change.Row
	reason string
}

// setAside finds the rows of a query for which a place refuses it, and puts their keys into the inbox with
// what becomes of them.
func (a *apply) setAside(ctx context.Context, in *inbox, query string, cause error) error {
	tg := in.tg
	probe, err := a.probe(ctx, tg.visible())
	if err != nil {
		return err
	}
	found, err := a.findRefused(ctx, tg, probe, query)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return noneAlone(tg.name, cause)
	}
	rows := make([]row, len(found))
	for i, f := range found {
		flag, err := a.refuse(tg, sinks.FormatKey(f.key), a.b.To, f.reason)
		if err != nil {
			return err
		}
		rows[i] = tg.keyRow(f.key, a.b.To, flag)
	}
	in.order++
	return a.send(ctx, in.place(), "aside", rows, nil, in.order)
}

// findRefused halves the rows of a query, which stay at the server: as many buckets as there are rows, by a
// hash of the key, then the few rows of each bucket that is refused.
func (a *apply) findRefused(ctx context.Context, tg *target, probe, query string) ([]refusedKey, error) {
	var rows uint64
	if err := a.s.queryRow(ctx, fmt.Sprintf("SELECT count() FROM (%s)", query), &rows); err != nil {
		return nil, fmt.Errorf("count refused rows of %s: %w", tg.From, err)
	}
	try := func(part string) (refusal, err error) {
		return verdict(a.s.exec(ctx, "probe", fmt.Sprintf("INSERT INTO %s (%s) %s", probe, list(tg.names()), part), once()))
	}
	bucket := fmt.Sprintf("cityHash64(toString(tuple(%s))) %% %d", list(tg.keyNames()), max(rows, 1))
	buckets, err := sinks.Bisect(int(rows), func(first, last int) (refusal, err error) {
		return try(fmt.Sprintf("SELECT * FROM (%s) WHERE %s BETWEEN %d AND %d", query, bucket, first, last))
	})
	if err != nil {
		return nil, err
	}
	var found []refusedKey
	for _, f := range buckets {
		part := fmt.Sprintf("SELECT * FROM (%s) WHERE %s = %d", query, bucket, f.At)
		keys, err := a.keysOf(ctx, tg, part)
		if err != nil {
			return nil, err
		}
		if len(keys) == 1 {
			found = append(found, refusedKey{keys[0], reasonOf(f.Err)})
			continue
		}
		alone, err := sinks.Bisect(len(keys), func(first, last int) (refusal, err error) {
			return try(fmt.Sprintf("%s ORDER BY %s LIMIT %d OFFSET %d", part, list(tg.keyNames()), last-first+1, first))
		})
		if err != nil {
			return nil, err
		}
		for _, r := range alone {
			found = append(found, refusedKey{keys[r.At], reasonOf(r.Err)})
		}
	}
	return found, nil
}

// keysOf reads the keys of a query that has few rows, in key order.
func (a *apply) keysOf(ctx context.Context, tg *target, query string) ([]change.Row, error) {
	exprs := make([]string, len(tg.key))
	for i, k := range tg.key {
		exprs[i] = readText(&tg.columns[k])
	}
	var out []change.Row
	err := a.s.query(ctx, fmt.Sprintf("SELECT %s FROM (%s) ORDER BY %s", strings.Join(exprs, ", "), query, list(tg.keyNames())), func(scan func(...any) error) error {
		texts := make([]*string, len(tg.key))
		into := make([]any, len(texts))
		for i := range texts {
			into[i] = &texts[i]
		}
		if err := scan(into...); err != nil {
			return err
		}
		key := make(change.Row, len(texts))
		for i, k := range tg.key {
			var err error
			if key[i], err = parseText(&tg.columns[k], texts[i]); err != nil {
				return err
			}
		}
		out = append(out, key)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read refused keys of %s: %w", tg.From, err)
	}
	return out, nil
}
