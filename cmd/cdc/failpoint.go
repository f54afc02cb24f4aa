package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/etlsandbox/cdc/internal/stream"
)

// failpointVariable names the environment variable that arms a failpoint: "NAME:N" kills the process, as
// kill -9 does, when the point NAME is passed for the Nth time. It is for crash tests.
const failpointVariable = "CDC_FAILPOINT"

// rulesVariable names the environment variable that switches rules of the protocol off, by name and separated
// by commas. It is for tests that show that their checks can fail.
const rulesVariable = "CDC_TEST_RULES_OFF"

// batchCounts is the rule of that list which is the deliver stage's.
const batchCounts = "batch-counts"

// rules is the protocol, when it is zero.
type rules struct {
	stream    stream.Rules
	uncounted bool
}

// newRules returns the protocol without the named rules; unknown names are refused.
func newRules(off string) (r rules, err error) {
	if off == "" {
		return r, nil
	}
	names := strings.Split(off, ",")
	r.uncounted = slices.Contains(names, batchCounts)
	names = slices.DeleteFunc(names, func(n string) bool { return n == batchCounts })
	if r.stream, err = stream.Without(names...); err != nil {
		return rules{}, fmt.Errorf("%s: %w, %s", rulesVariable, err, batchCounts)
	}
	return r, nil
}

// newFailpoint returns what stages call at the named places of the protocol; nil when none is armed.
func newFailpoint(armed string) (func(point string) error, error) {
	if armed == "" {
		return nil, nil
	}
	name, n, ok := strings.Cut(armed, ":")
	at, err := strconv.ParseInt(n, 10, 64)
	if !ok || err != nil || at < 1 {
		return nil, fmt.Errorf("%s is %q: write NAME:N", failpointVariable, armed)
	}
	var hits atomic.Int64
	return func(point string) error {
		if point != name || hits.Add(1) != at {
			return nil
		}
		return syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}, nil
}
