package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
)

// parseKeys reads "A..B": keys from A up to B, both included, by the first key column; either may be missing.
func parseKeys(text string, types []change.Type) (change.KeyRange, error) {
	lo, hi, ok := strings.Cut(text, "..")
	if !ok || lo == "" && hi == "" {
		return change.KeyRange{}, fmt.Errorf("keys %q are not of the form A..B", text)
	}
	if len(types) == 0 {
		return change.KeyRange{}, fmt.Errorf("keys %q: there is no key", text)
	}
	var r change.KeyRange
	if lo != "" {
		v, _, err := parseKey(lo, types[0])
		if err != nil {
			return r, err
		}
		r.Lo, r.HasLo = change.KeyOf(v), true
	}
	if hi != "" {
		_, next, err := parseKey(hi, types[0])
		if err != nil {
			return r, err
		}
		r.Hi, r.HasHi = change.KeyOf(next), true
	}
	if r.IsEmpty() {
		return r, fmt.Errorf("keys %q: the first lies behind the last", text)
	}
	return r, nil
}

// parseKey reads a key value, and the least value behind it.
func parseKey(text string, t change.Type) (v, next change.Value, err error) {
	switch t.Kind {
	case change.Int:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return v, next, fmt.Errorf("key %q is no integer", text)
		}
		return change.IntValue(n), change.IntValue(n + 1), nil
	case change.Uint:
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return v, next, fmt.Errorf("key %q is no unsigned integer", text)
		}
		return change.UintValue(n), change.UintValue(n + 1), nil
	case change.String:
		return change.StringValue(text), change.StringValue(text + "\x00"), nil
	}
	return v, next, fmt.Errorf("a key range over a column of type %s is not supported; leave the keys out", t.Name)
}
