package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/etlsandbox/cdc/internal/pipeline"
	"github.com/etlsandbox/cdc/internal/stream"
)

// failpointVariable names the environment variable that arms a failpoint: "NAME:N" kills the process, as
// kill -9 does, when the point NAME is passed for the Nth time. It is for crash tests.
const failpointVariable = "CDC_FAILPOINT"

// rulesVariable names the environment variable that switches rules of the protocol off, by name and separated
// by commas. It is for tests that show that their checks can fail.
const rulesVariable = "CDC_TEST_RULES_OFF"

// rules is the protocol, when it is zero.
type rules struct {
	stream stream.Rules
	stages pipeline.Rules
}

// newRules returns the protocol without the named rules; unknown names are refused.
func newRules(off string) (rules, error) {
	if off == "" {
		return rules{}, nil
	}
	var ofStream, ofStages []string
	for _, name := range strings.Split(off, ",") {
		if slices.Contains(pipeline.RuleNames(), name) {
			ofStages = append(ofStages, name)
		} else {
			ofStream = append(ofStream, name)
		}
	}
	var r rules
	var errStream, errStages error
	r.stream, errStream = stream.Without(ofStream...)
	r.stages, errStages = pipeline.Without(ofStages...)
	if err := errors.Join(errStream, errStages); err != nil {
		return rules{}, fmt.Errorf("%s: %w", rulesVariable, err)
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
