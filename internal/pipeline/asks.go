package pipeline

import (
	"slices"

	"github.com/etlsandbox/cdc/schemas/change"
)

// begun is a begin that this process wrote: it answers asks that came before it.
type begun struct {
	cover  change.Cover
	seq    change.Seq
	offset int64
}

// mergeAsks adds asks that have come. A reader's newer ask replaces its older one; an operator's, who waits for
// the answer, replaces none and is replaced by none.
func mergeAsks(waiting, taken []Ask) []Ask {
	for _, a := range taken {
		if a.Reader != "" && a.Done == nil {
			waiting = slices.DeleteFunc(waiting, func(o Ask) bool { return o.Reader == a.Reader && o.Done == nil })
		}
		waiting = append(waiting, a)
	}
	return waiting
}

// answered reports whether a begin that was written after the reader began to ask serves it already.
func answered(begins []begun, a Ask) bool {
	return a.Reader != "" && a.Done == nil && slices.ContainsFunc(begins, func(b begun) bool {
		return b.offset >= a.Since && b.seq > a.Floor && b.cover.Heal && b.cover.IsFor(a.Reader) &&
			!slices.ContainsFunc(a.Tables, func(t string) bool { return !b.cover.Names(t) })
	})
}
