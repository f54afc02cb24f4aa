package snapshot

import (
	"context"
	"fmt"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Query is a SELECT whose rows have a shape with a key: a view, asked of the source itself.
type Query struct {
	SQL   string
	Shape *change.Table
	// Base is the table whose first primary key column the query's first key column is: ranges are planned
	// over it, which is cheap. Without it they are planned over the query itself.
	Base *change.Table
}

func (q Query) source() string { return "(" + q.SQL + ") AS " + quote("q") }

// PlanQuery returns the first part of a range of the query's keys: about limit rows of Base, or of the query
// where there is none. A key without an ordered prefix gives the whole range: its rows are compared at once.
func (r *Reader) PlanQuery(ctx context.Context, q Query, from change.KeyRange, limit int) (change.KeyRange, error) {
	if OrderedPrefix(q.Shape) == 0 {
		return from, nil
	}
	if q.Base != nil {
		return r.plan(ctx, r.db, TableName(q.Base.ID), q.Base, 1, from, limit)
	}
	conn, release, err := r.conn(ctx)
	if err != nil {
		return from, err
	}
	defer release()
	// Over the first key column alone: the columns of a join come from several tables, and an order over
	// them would have to be made for all that is left, range by range.
	return r.plan(ctx, conn, q.source(), q.Shape, 1, from, limit)
}

// ReadQuery answers the query for a key range in one read view; Chunk.High lies at or behind everything that
// it saw.
func (r *Reader) ReadQuery(ctx context.Context, q Query, rng change.KeyRange) (Chunk, error) {
	where, err := rangeCondition(q.Shape, rng)
	if err != nil {
		return Chunk{}, err
	}
	c, err := r.read(ctx, q.source(), q.Shape, where, "", change.Position{}, 0)
	if err != nil {
		return Chunk{}, fmt.Errorf("ask the source for view %s: %w", q.Shape.ID, err)
	}
	return c, nil
}
