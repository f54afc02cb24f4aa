package pipeline

import (
	"fmt"
	"slices"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Rules switches single rules of the stages off. The zero value is the protocol; anything else exists for
// a simulation, which shows that each rule is needed.
type Rules uint32

// The rules that can be switched off.
const (
	noRollForward Rules = 1 << iota
	rollOnlyToHigh
	dropChangedKeys
	rangesWithoutEnds
	ddlThenBegin
	chunksFromStateAtBegin
	chunksBeforeRawEnd
	noStateReplay
	viewBeginAtRawBegin
	seqAbove
	back
)

var ruleNames = []string{
	"state-of-roll-to-low",       // a chunk is emitted as it was read
	"roll-only-to-high",          // changes behind what the read saw are left out, though the chunk is emitted later
	"drop-changed-keys",          // keys that changed in the window are left out of the chunk
	"ranges-without-ends",        // ranges reach from the first row to the last one
	"ddl-then-begin",             // the schema unit and the begin of its heal are two records
	"chunks-from-state-at-begin", // a view's chunks come from the state at its begin
	"chunks-before-raw-end",      // a view's chunks do not wait for the end of the tables' heal
	"no-state-replay",            // the joiner goes on from an older state without replay
	"view-begin-at-raw-begin",    // the views' begin is written at the raw end only
	"seq-above",                  // a cover that was asked for is not numbered above what its reader holds
	"back",                       // an operator's word that the source was set back does not reach the readers
}

// RuleNames lists the rules that Without knows.
func RuleNames() []string { return slices.Clone(ruleNames) }

// Without returns the stages' protocol without the named rules.
func Without(names ...string) (Rules, error) {
	var r Rules
	for _, n := range names {
		i := slices.Index(ruleNames, n)
		if i < 0 {
			return 0, fmt.Errorf("switch off rule %q: unknown; known are %s", n, strings.Join(ruleNames, ", "))
		}
		r |= 1 << i
	}
	return r, nil
}

func (r Rules) off(rule Rules) bool { return r&rule != 0 }

// between is the range from the first row to the last one: what a chunk covers without the rule that
// ranges leave no gap.
func between(t *change.Table, rows []change.Row) (change.KeyRange, error) {
	if len(rows) == 0 {
		return change.KeyRange{HasLo: true, HasHi: true}, nil
	}
	lo, err := t.RowKey(rows[0])
	if err != nil {
		return change.KeyRange{}, err
	}
	hi, err := t.RowKey(rows[len(rows)-1])
	return change.KeyRange{HasLo: true, Lo: lo, HasHi: true, Hi: hi + "\x00"}, err
}
