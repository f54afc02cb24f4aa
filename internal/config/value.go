package config

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes, written with a unit: 512MiB.
type Size int64

// The units of a Size.
const (
	KiB Size = 1 << (10 * (iota + 1))
	MiB
	GiB
	TiB
)

var sizeUnits = []struct {
	name string
	size Size
}{{"TiB", TiB}, {"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB}, {"B", 1}}

// ParseSize reads a whole number and one of B, KiB, MiB, GiB, TiB.
func ParseSize(text string) (Size, error) {
	for _, u := range sizeUnits {
		digits, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 {
			return 0, fmt.Errorf("%q is not a size: write a whole number and a unit, such as 512MiB", text)
		}
		if n > math.MaxInt64/int64(u.size) {
			return 0, fmt.Errorf("%q is more than this program can count", text)
		}
		return Size(n) * u.size, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return 0, fmt.Errorf("a size needs a unit: write %s (units: B, KiB, MiB, GiB, TiB)", Size(n))
	}
	return 0, fmt.Errorf("%q is not a size: write a whole number and a unit, such as 512MiB (units: B, KiB, MiB, GiB, TiB)", text)
}

// String writes the size in its largest whole unit.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if s != 0 && s%u.size == 0 {
			return strconv.FormatInt(int64(s/u.size), 10) + u.name
		}
	}
	return "0B"
}

// parseDuration reads a Go duration that is not negative.
func parseDuration(text string) (time.Duration, error) {
	if _, err := strconv.ParseFloat(text, 64); err == nil && text != "0" {
		return 0, fmt.Errorf("a duration needs a unit: write %ss or %sms", text, text)
	}
	d, err := time.ParseDuration(text)
	if err != nil || text == "0" {
		return 0, fmt.Errorf("%q is not a duration: write 100ms, 5s, 10m or 168h", text)
	}
	if d < 0 {
		return 0, fmt.Errorf("%s is negative", text)
	}
	return d, nil
}

// formatDuration writes a duration without units that are zero: 168h, not 168h0m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Regexp is a regular expression that must match the whole of a name. Its zero value matches nothing.
type Regexp struct {
	source string
	re     *regexp.Regexp
}

// ParseRegexp compiles an expression in Go's syntax (RE2) and anchors it at both ends.
func ParseRegexp(text string) (Regexp, error) {
	if text == "" {
		return Regexp{}, errors.New("an empty expression matches nothing: remove it, or write .* for everything")
	}
	if _, err := regexp.Compile(text); err != nil {
		return Regexp{}, fmt.Errorf("%q is not a regular expression: %w", text, err)
	}
	re, err := regexp.Compile("^(?:" + text + ")$")
	if err != nil {
		return Regexp{}, fmt.Errorf("%q is not a regular expression: %w", text, err)
	}
	return Regexp{source: text, re: re}, nil
}

func mustRegexp(text string) Regexp {
	r, err := ParseRegexp(text)
	if err != nil {
		panic(err)
	}
	return r
}

// MatchString reports whether the expression matches the whole name.
func (r Regexp) MatchString(name string) bool { return r.re != nil && r.re.MatchString(name) }

// String returns the expression as written.
func (r Regexp) String() string { return r.source }

// Equal reports whether both were written alike.
func (r Regexp) Equal(o Regexp) bool { return r.source == o.source }

// Match reports whether a table is chosen.
func (t Tables) Match(database, table string) bool {
	name := database + "." + table
	return matchAny(t.Include, name) && !matchAny(t.Exclude, name)
}

// Excluded reports whether a column is never captured.
func (c Columns) Excluded(database, table, column string) bool {
	return matchAny(c.Exclude, database+"."+table+"."+column)
}

func matchAny(res []Regexp, name string) bool {
	for _, r := range res {
		if r.MatchString(name) {
			return true
		}
	}
	return false
}

// ServerID is the replica id that the capture registers with; 0 is auto.
type ServerID uint32

func parseServerID(text string) (ServerID, error) {
	if text == "auto" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is not a server id: write auto, or a number from 1 to 4294967295 that no server or replica uses", text)
	}
	return ServerID(n), nil
}

// String writes auto or the number.
func (s ServerID) String() string {
	if s == 0 {
		return "auto"
	}
	return strconv.FormatUint(uint64(s), 10)
}

// StartKind says where the very first run begins.
type StartKind string

// The places to begin.
const (
	StartSnapshot StartKind = "snapshot"
	StartNow      StartKind = "now"
	StartGTID     StartKind = "gtid"
	StartFile     StartKind = "file"
	StartTime     StartKind = "time"
)

// Start is the place where the very first run begins; Kind says which of the other fields count.
type Start struct {
	Kind     StartKind
	GTID     string
	File     string
	Position uint64
	Time     time.Time
}

// From is what a sink is given: a view by name, or tables by expression. One of the two is set.
type From struct {
	View   string
	Tables Regexp
}

func parseFrom(text string) (From, error) {
	if name, ok := strings.CutPrefix(text, "view/"); ok && name != "" {
		return From{View: name}, nil
	}
	if expr, ok := strings.CutPrefix(text, "table/"); ok && expr != "" {
		r, err := ParseRegexp(expr)
		return From{Tables: r}, err
	}
	return From{}, fmt.Errorf("%q names nothing to deliver: write view/NAME, or table/ and an expression such as table/sakila.*", text)
}

// String writes view/NAME or table/EXPRESSION.
func (f From) String() string {
	if f.View != "" {
		return "view/" + f.View
	}
	return "table/" + f.Tables.String()
}

// Equal reports whether both were written alike.
func (f From) Equal(o From) bool { return f.View == o.View && f.Tables.Equal(o.Tables) }

// Secret is a value that no print, log or encoding shows. Reveal is the only way to it.
type Secret struct {
	// value is behind a pointer so that even reflection-based printing of an unexported field shows an address.
	value *string
	// shown is the reference it came from, without a default value in it; or where a literal came from.
	shown string
}

const hidden = "(hidden)"

// NewSecret makes a secret in code; shown is what Show prints for it.
func NewSecret(value, shown string) Secret { return Secret{value: &value, shown: shown} }

// Reveal returns the secret itself, to be handed to a driver and to nothing else.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Equal reports whether both hold the same secret, wherever they came from.
func (s Secret) Equal(o Secret) bool { return s.Reveal() == o.Reveal() }

// IsZero reports whether nothing was set.
func (s Secret) IsZero() bool { return s.value == nil }

// String hides the secret.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return hidden
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the secret from encodings, JSON and YAML among them.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue hides the secret from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Reference returns what may be shown of it: the reference without default, or where it came from.
func (s Secret) Reference() string {
	if s.shown == "" && !s.IsZero() {
		return hidden
	}
	return s.shown
}

// IsLocal reports whether a host (with or without port) is a socket's path or a loopback address, so that
// nothing sent to it leaves the machine.
func IsLocal(host string) bool {
	if strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") {
		return true
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return ip != nil && ip.IsLoopback()
}
