package clickhouse

import (
	"context"
	"errors"
	"fmt"

	"github.com/etlsandbox/cdc/sinks"
)

// compare says how the catalog's table differs from what the target was bound to: changed, in a way that holds
// all that is written, or not as the sink left it, which is an error.
func (tg *target) compare(rel *relation) (changed bool, err error) {
	if rel == nil {
		return false, tg.gone()
	}
	for i := range tg.columns {
		c := &tg.columns[i]
		a, ok := rel.columns[c.name]
		switch {
		case !ok:
			return false, tg.altered(fmt.Sprintf("lacks the column %s", c.name))
		case !a.known, fitOf(c.form, a.form) != fits, c.nullable && !a.nullable, tg.table.IsKey(i) && a.form != c.form:
			return false, tg.altered(fmt.Sprintf("has the column %s as %s, not as %s", c.name, a.text, c.actual()))
		}
		changed = changed || a.form != c.form || a.nullable != c.nullable
	}
	return changed, nil
}

func (tg *target) altered(how string) error {
	return sinks.OfTarget(tg.From, &sinks.StopError{
		What: fmt.Sprintf("table %s.%s was altered by somebody: it %s", tg.database, tg.bare, how),
		Hint: "restart the sink, which adds and widens columns again (with schema_changes: expand), then give the rows what they have lost by cdc resync --sink NAME",
	})
}

func (tg *target) gone() error {
	return sinks.OfTarget(tg.From, &sinks.StopError{
		What: fmt.Sprintf("table %s.%s is gone", tg.database, tg.bare),
		Hint: "restart the sink to have it made and filled again",
	})
}

// unaltered looks whether the target's table still is as it was bound. A statement at the server converts what it
// selects to the type that it finds, and wraps numbers without a word.
func (s *session) unaltered(ctx context.Context, tg *target) error {
	rel, err := s.columns(ctx, tg.versions())
	if err != nil {
		return err
	}
	changed, err := tg.compare(rel)
	if err == nil && changed {
		return &sinks.RetryError{Reason: "altered", Err: fmt.Errorf("table %s.%s was widened by somebody: what it is now is looked up", tg.database, tg.bare)}
	}
	return err
}

// whyRefused gives the reason of an error of a server that was sent something for the target's table: that it was
// altered, if it was, else the error.
func (a *apply) whyRefused(ctx context.Context, tg *target, err error) error {
	if !isServers(err) && !errors.Is(err, errOtherColumn) {
		return err
	}
	if why := a.s.unaltered(ctx, tg); why != nil {
		return why
	}
	return err
}
