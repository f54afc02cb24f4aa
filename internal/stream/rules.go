package stream

import (
	"fmt"
	"slices"
	"strings"
)

// Rules switches single rules of the protocol off. The zero value is the protocol; anything else exists
// for tests, which show that each rule is needed.
type Rules uint32

// The rules that can be switched off.
const (
	noFencing Rules = 1 << iota
	offsetOnlyMark
	readersNotGated
	prevChain
	startCheck
	headerSeq
	firstIsBegin
	adoptOldBegin
	adoptPartialBegin
	seqAbove
)

var ruleNames = []string{
	"no-fencing-kafka",    // each process has a transactional id of its own
	"offset-only-mark",    // a Mark is found by its offset, ids are not compared
	"readers-not-gated",   // a range is read before all of it is readable
	"prev-chain",          // a progress record need not name the one before it
	"start-check",         // a writer goes on though meta or a partition lost its tail
	"header-seq",          // a record's seq may lie outside its progress record's, or be of another batch
	"first-is-begin",      // after adopting a begin, any record may come first
	"adopt-old-begin",     // a begin from before the asking is taken
	"adopt-partial-begin", // a begin over some of the tables is taken by a reader that lacks more
	"seq-above",           // a begin numbered below what the reader holds is taken
}

// RuleNames lists the rules that Without knows.
func RuleNames() []string { return slices.Clone(ruleNames) }

// Without returns the protocol without the named rules.
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

// off reports whether a rule is switched off.
func (r Rules) off(rule Rules) bool { return r&rule != 0 }

// TransactionalID is the id that fences writers of a stream: the same for every process that plays the
// role, so that a later one ends the transactions of an earlier one and takes the right to write.
func (r Rules) TransactionalID(base, process string) string {
	if r.off(noFencing) {
		return base + "#" + process
	}
	return base
}
