// Package gtid does the arithmetic of global transaction ids: MySQL's sets of intervals, and MariaDB's
// newest sequence number of each domain. Adding one transaction costs no parsing and no allocation
// worth naming, because it happens for every transaction of the source.
package gtid

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// MySQL is a set of MySQL GTIDs. The zero value is the empty set.
type MySQL struct {
	sources []source // ordered by id, then tag
	last    int      // index of the source added to last: most transactions come from the same one
}

// source holds what the set has of one server (and tag).
type source struct {
	id, tag string
	ranges  []span // ordered, disjoint, not adjacent
}

// span is the closed interval lo..hi.
type span struct{ lo, hi int64 }

// ParseMySQL reads "uuid:1-5:7:tag:1-3,uuid2:4"; white space is ignored, "" is the empty set.
func ParseMySQL(text string) (*MySQL, error) {
	s := &MySQL{}
	for _, part := range strings.Split(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		fields := strings.Split(part, ":")
		id := strings.ToLower(strings.TrimSpace(fields[0]))
		if !isUUID(id) {
			return nil, fmt.Errorf("parse GTID set: %q does not begin with a server UUID", part)
		}
		if len(fields) < 2 {
			return nil, fmt.Errorf("parse GTID set: %q names no transaction", part)
		}
		tag := ""
		for _, f := range fields[1:] {
			f = strings.ToLower(strings.TrimSpace(f))
			if isTag(f) {
				tag = f
				continue
			}
			lo, hi, err := parseSpan(f)
			if err != nil {
				return nil, fmt.Errorf("parse GTID set: %q: %w", part, err)
			}
			s.addSpan(id, tag, span{lo, hi})
		}
	}
	return s, nil
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f':
		default:
			return false
		}
	}
	return true
}

func isTag(s string) bool {
	return s != "" && len(s) <= 32 && (s[0] == '_' || s[0] >= 'a' && s[0] <= 'z')
}

func parseSpan(s string) (lo, hi int64, err error) {
	a, b, two := strings.Cut(s, "-")
	if !two {
		b = a
	}
	if lo, err = strconv.ParseInt(strings.TrimSpace(a), 10, 64); err != nil {
		return 0, 0, fmt.Errorf("transaction number %q", a)
	}
	if hi, err = strconv.ParseInt(strings.TrimSpace(b), 10, 64); err != nil {
		return 0, 0, fmt.Errorf("transaction number %q", b)
	}
	if lo < 1 || hi < lo {
		return 0, 0, fmt.Errorf("interval %q is empty", s)
	}
	return lo, hi, nil
}

func (s *MySQL) find(id, tag string) (int, bool) {
	return slices.BinarySearchFunc(s.sources, source{id: id, tag: tag}, func(a, b source) int {
		if c := strings.Compare(a.id, b.id); c != 0 {
			return c
		}
		return strings.Compare(a.tag, b.tag)
	})
}

// Add puts one transaction into the set. id must be in lower case, as ParseMySQL makes it.
func (s *MySQL) Add(id, tag string, n int64) {
	if s.last < len(s.sources) {
		if src := &s.sources[s.last]; src.id == id && src.tag == tag {
			src.add(span{n, n})
			return
		}
	}
	s.addSpan(id, tag, span{n, n})
}

func (s *MySQL) addSpan(id, tag string, r span) {
	i, found := s.find(id, tag)
	if !found {
		s.sources = slices.Insert(s.sources, i, source{id: id, tag: tag})
	}
	s.sources[i].add(r)
	s.last = i
}

func (s *source) add(r span) {
	if n := len(s.ranges); n > 0 && s.ranges[n-1].hi+1 == r.lo {
		s.ranges[n-1].hi = r.hi
		return
	}
	// first is the first range that touches r or lies after it, end the first one wholly after it.
	first := 0
	for first < len(s.ranges) && s.ranges[first].hi+1 < r.lo {
		first++
	}
	end := first
	for end < len(s.ranges) && s.ranges[end].lo-1 <= r.hi {
		r.lo, r.hi = min(r.lo, s.ranges[end].lo), max(r.hi, s.ranges[end].hi)
		end++
	}
	s.ranges = slices.Replace(s.ranges, first, end, r)
}

// Union puts all of o into the set.
func (s *MySQL) Union(o *MySQL) {
	for _, src := range o.sources {
		for _, r := range src.ranges {
			s.addSpan(src.id, src.tag, r)
		}
	}
}

// Contains reports whether every transaction of o is in the set.
func (s *MySQL) Contains(o *MySQL) bool {
	for _, src := range o.sources {
		i, found := s.find(src.id, src.tag)
		if !found {
			return false
		}
		have := s.sources[i].ranges
		for _, r := range src.ranges {
			if !slices.ContainsFunc(have, func(h span) bool { return h.lo <= r.lo && r.hi <= h.hi }) {
				return false
			}
		}
	}
	return true
}

// Empty reports whether the set has no transaction.
func (s *MySQL) Empty() bool { return len(s.sources) == 0 }

// String prints the set as the server does, without line breaks.
func (s *MySQL) String() string { return string(s.Append(nil)) }

// Append appends the set's text to b.
func (s *MySQL) Append(b []byte) []byte {
	for i, src := range s.sources {
		if i == 0 || s.sources[i-1].id != src.id {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, src.id...)
		}
		if src.tag != "" {
			b = append(append(b, ':'), src.tag...)
		}
		for _, r := range src.ranges {
			b = strconv.AppendInt(append(b, ':'), r.lo, 10)
			if r.hi > r.lo {
				b = strconv.AppendInt(append(b, '-'), r.hi, 10)
			}
		}
	}
	return b
}

// MariaDB is a position in MariaDB's log: the last transaction of each domain. The zero value stands
// before everything.
type MariaDB struct {
	domains []MariaDBID // ordered by domain
}

// MariaDBID is one transaction: domain-server-sequence.
type MariaDBID struct {
	Domain, Server uint32
	Seq            uint64
}

// Append appends "0-1-42" to b.
func (g MariaDBID) Append(b []byte) []byte {
	b = strconv.AppendUint(b, uint64(g.Domain), 10)
	b = strconv.AppendUint(append(b, '-'), uint64(g.Server), 10)
	return strconv.AppendUint(append(b, '-'), g.Seq, 10)
}

// String prints "0-1-42".
func (g MariaDBID) String() string { return string(g.Append(nil)) }

// ParseMariaDB reads "0-1-42,1-1-7"; "" stands before everything.
func ParseMariaDB(text string) (*MariaDB, error) {
	s := &MariaDB{}
	for _, part := range strings.Split(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		f := strings.Split(part, "-")
		if len(f) != 3 {
			return nil, fmt.Errorf("parse GTID position: %q is not domain-server-sequence", part)
		}
		domain, err1 := strconv.ParseUint(f[0], 10, 32)
		server, err2 := strconv.ParseUint(f[1], 10, 32)
		seq, err3 := strconv.ParseUint(f[2], 10, 64)
		if err1 != nil || err2 != nil || err3 != nil {
			return nil, fmt.Errorf("parse GTID position: %q is not domain-server-sequence", part)
		}
		s.Set(MariaDBID{Domain: uint32(domain), Server: uint32(server), Seq: seq})
	}
	return s, nil
}

// Set makes g the last transaction of its domain, whatever stood there.
func (s *MariaDB) Set(g MariaDBID) {
	for i := range s.domains {
		switch d := &s.domains[i]; {
		case d.Domain == g.Domain:
			*d = g
			return
		case d.Domain > g.Domain:
			s.domains = slices.Insert(s.domains, i, g)
			return
		}
	}
	s.domains = append(s.domains, g)
}

// Union moves every domain to the further of the two positions.
func (s *MariaDB) Union(o *MariaDB) {
	for _, g := range o.domains {
		if have, ok := s.domain(g.Domain); !ok || have.Seq < g.Seq {
			s.Set(g)
		}
	}
}

func (s *MariaDB) domain(d uint32) (MariaDBID, bool) {
	for _, g := range s.domains {
		if g.Domain == d {
			return g, true
		}
	}
	return MariaDBID{}, false
}

// Contains reports whether the position is at or behind o in every domain that o names.
func (s *MariaDB) Contains(o *MariaDB) bool {
	for _, g := range o.domains {
		if have, ok := s.domain(g.Domain); !ok || have.Seq < g.Seq {
			return false
		}
	}
	return true
}

// Empty reports whether the position stands before everything.
func (s *MariaDB) Empty() bool { return len(s.domains) == 0 }

// String prints the position as gtid_binlog_pos does.
func (s *MariaDB) String() string { return string(s.Append(nil)) }

// Append appends the position's text to b.
func (s *MariaDB) Append(b []byte) []byte {
	for i, g := range s.domains {
		if i > 0 {
			b = append(b, ',')
		}
		b = g.Append(b)
	}
	return b
}
