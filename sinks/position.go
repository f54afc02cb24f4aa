package sinks

import (
	"strconv"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Behind reports whether a provably lacks something that b holds: both are places of one server, and b's
// is not contained in a's. Places that cannot be compared are not behind one another.
func Behind(a, b change.Position) bool {
	switch {
	case a.IsZero() || b.IsZero() || a.Server != b.Server:
		return false
	case a.GTID != "" && b.GTID != "":
		as, ok := parseGTIDs(a.GTID)
		bs, ok2 := parseGTIDs(b.GTID)
		return ok && ok2 && !as.contains(bs)
	case a.GTID == "" && b.GTID == "":
		return binlogBehind(a, b)
	}
	return false
}

// binlogBehind compares file and offset; file names end in a number that grows.
func binlogBehind(a, b change.Position) bool {
	an, aok := binlogNumber(a.File)
	bn, bok := binlogNumber(b.File)
	if !aok || !bok {
		return false
	}
	return an < bn || an == bn && a.Offset < b.Offset
}

func binlogNumber(file string) (uint64, bool) {
	n, err := strconv.ParseUint(file[strings.LastIndexByte(file, '.')+1:], 10, 64)
	return n, err == nil
}

type interval struct{ first, last uint64 }

// gtids maps a sequence's name (a server's uuid, with its tag; a MariaDB domain) to the numbers it holds.
type gtids map[string][]interval

// parseGTIDs reads both dialects: "uuid[:tag]:1-5:7,…" and "domain-server-number,…".
func parseGTIDs(text string) (gtids, bool) {
	set := gtids{}
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		if !strings.Contains(part, ":") {
			domain, rest, ok := strings.Cut(part, "-")
			_, number, ok2 := strings.Cut(rest, "-")
			n, err := strconv.ParseUint(number, 10, 64)
			if !ok || !ok2 || err != nil {
				return nil, false
			}
			set[domain] = append(set[domain], interval{0, n}) // a MariaDB position holds all before it
			continue
		}
		name := ""
		for piece := range strings.SplitSeq(part, ":") {
			first, last, ranged := strings.Cut(piece, "-")
			lo, err := strconv.ParseUint(first, 10, 64)
			hi := lo
			if err == nil && ranged {
				hi, err = strconv.ParseUint(last, 10, 64)
			}
			switch {
			case name == "" || err != nil && strings.Contains(name, "-") && !ranged:
				name = strings.TrimPrefix(name+":"+piece, ":") // the uuid, then perhaps a tag
				if i := strings.IndexByte(name, ':'); i >= 0 {
					name = name[:i] + ":" + piece // a further tag of the same uuid
				}
			case err != nil:
				return nil, false
			default:
				set[name] = append(set[name], interval{lo, hi})
			}
		}
	}
	return set, true
}

func (g gtids) contains(o gtids) bool {
	for name, want := range o {
		for _, w := range want {
			if !covered(g[name], w) {
				return false
			}
		}
	}
	return true
}

// covered reports whether the intervals together hold every number of w; servers print them merged and in
// order, so one interval holds it or none does.
func covered(have []interval, w interval) bool {
	for _, h := range have {
		if h.first <= w.first && w.last <= h.last {
			return true
		}
	}
	return false
}
