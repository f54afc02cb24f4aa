package contract

import (
	"context"
	"fmt"
	"iter"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// Batch returns the batch as a destination may have it: rows that a contract withholds are refused, with the
// reason, and a row that stops the sink ends the iteration with a *sinks.StopError. told hears of each
// violation once, however often the batch is read; a batch that is tried again after a failure is another one.
func (s *Set) Batch(b *change.Batch, told func(Violation)) *change.Batch {
	if s == nil || len(s.byStream) == 0 || b.Rows == 0 || b.Open == nil {
		return b
	}
	checked := *b
	heard := 0 // events whose violations were told
	checked.Open = func(ctx context.Context) iter.Seq2[change.Event, error] {
		return func(yield func(change.Event, error) bool) {
			n := 0
			for ev, err := range b.Open(ctx) {
				if err == nil && ev.Op != change.Delete {
					n++
					err = s.apply(&ev, func(v Violation) {
						if n > heard {
							told(v)
						}
					})
					heard = max(heard, n)
				}
				if !yield(ev, err) || err != nil {
					return
				}
			}
		}
	}
	return &checked
}

// apply checks an event and marks it when its row is withheld.
func (s *Set) apply(ev *change.Event, told func(Violation)) error {
	for _, v := range s.Check(ev.Table, ev.After) {
		told(v)
		switch v.Action {
		case Stop:
			key := make(change.Row, len(ev.Table.Key))
			for i, c := range ev.Table.Key {
				key[i] = ev.After[c]
			}
			return &sinks.StopError{What: fmt.Sprintf("row %s of %s (seq %d): %s", sinks.FormatKey(key), v.Stream, ev.Seq, v.Reason),
				Hint: "mend the row at the source, or change the contract's action and run cdc reload"}
		case Quarantine:
			if ev.Refused == "" {
				ev.Refused = v.Reason
			}
		case Warn:
		}
	}
	if ev.Refused == "" {
		return nil
	}
	// A sink that does not know of refused rows cannot show one either: a value that was not transmitted is
	// poison everywhere.
	row := ev.After.Clone()
	for i := range row {
		if !ev.Table.IsKey(i) {
			row[i] = change.AbsentValue()
		}
	}
	ev.After = row
	return nil
}
