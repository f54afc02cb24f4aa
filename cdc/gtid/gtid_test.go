package gtid

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const (
	uuidA = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
	uuidB = "4e11fa47-71ca-11e1-9e33-c80aa9429562"
)

func TestParseMySQL(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{uuidA + ":1", uuidA + ":1"},
		{strings.ToUpper(uuidA) + ":1-3:5-5:4", uuidA + ":1-5"},
		{uuidB + ":7,\n" + uuidA + ":1-2 : 9", uuidA + ":1-2:9," + uuidB + ":7"},
		{uuidA + ":1-70:cdctag:1:other:3-4", uuidA + ":1-70:cdctag:1:other:3-4"},
		{uuidA + ":other:3," + uuidA + ":1", uuidA + ":1:other:3"},
		{uuidA + ":5-9:1-20", uuidA + ":1-20"},
	} {
		s, err := ParseMySQL(c.in)
		if err != nil {
			t.Errorf("%q: %v", c.in, err)
			continue
		}
		if got := s.String(); got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
	for _, bad := range []string{"x:1", uuidA, uuidA + ":0", uuidA + ":5-3", uuidA + ":1-", uuidA + ":99999999999999999999", uuidA + ":-1"} {
		if s, err := ParseMySQL(bad); err == nil {
			t.Errorf("%q parsed as %q", bad, s)
		}
	}
}

// TestMySQLAgainstModel compares the set with a plain map of its members.
func TestMySQLAgainstModel(t *testing.T) {
	type member struct {
		id, tag string
		n       int64
	}
	draw := rapid.Custom(func(t *rapid.T) member {
		return member{
			id: rapid.SampledFrom([]string{uuidA, uuidB}).Draw(t, "id"), tag: rapid.SampledFrom([]string{"", "t"}).Draw(t, "tag"),
			n: rapid.Int64Range(1, 12).Draw(t, "n"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		build := func(name string) (*MySQL, map[member]bool) {
			s, m := &MySQL{}, map[member]bool{}
			for _, x := range rapid.SliceOf(draw).Draw(t, name) {
				s.Add(x.id, x.tag, x.n)
				m[x] = true
			}
			return s, m
		}
		a, am := build("a")
		b, bm := build("b")
		subset := true
		for x := range bm {
			subset = subset && am[x]
		}
		if got := a.Contains(b); got != subset {
			t.Fatalf("%q contains %q: %t", a, b, got)
		}
		again, err := ParseMySQL(a.String())
		if err != nil || again.String() != a.String() {
			t.Fatalf("%q parses as %q, %v", a, again, err)
		}
		a.Union(b)
		maps.Copy(am, bm)
		count := 0
		for _, s := range a.sources {
			for i, r := range s.ranges {
				count += int(r.hi - r.lo + 1)
				if i > 0 && s.ranges[i-1].hi+1 >= r.lo {
					t.Fatalf("%q has ranges that touch", a)
				}
				for n := r.lo; n <= r.hi; n++ {
					if !am[member{s.id, s.tag, n}] {
						t.Fatalf("%q holds %d of %s too many", a, n, s.id)
					}
				}
			}
		}
		if count != len(am) {
			t.Fatalf("%q has %d members, want %d", a, count, len(am))
		}
	})
}

func TestMariaDB(t *testing.T) {
	s, err := ParseMariaDB("1-1-7, 0-2-42")
	if err != nil {
		t.Fatal(err)
	}
	if got := s.String(); got != "0-2-42,1-1-7" {
		t.Errorf("prints %q", got)
	}
	s.Set(MariaDBID{Domain: 0, Server: 3, Seq: 43})
	s.Set(MariaDBID{Domain: 5, Server: 3, Seq: 1})
	if got := s.String(); got != "0-3-43,1-1-7,5-3-1" {
		t.Errorf("prints %q", got)
	}
	for want, text := range map[string]string{
		"true 1": "", "true 2": "0-9-43", "true 3": "1-1-1,5-1-1", "false 1": "0-3-44", "false 2": "9-1-1",
	} {
		o, err := ParseMariaDB(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := strconv.FormatBool(s.Contains(o)); got != strings.Fields(want)[0] {
			t.Errorf("%q contains %q: %s", s, o, got)
		}
	}
	o, err := ParseMariaDB("0-1-100,1-1-1,7-7-7")
	if err != nil {
		t.Fatal(err)
	}
	s.Union(o)
	if got := s.String(); got != "0-1-100,1-1-7,5-3-1,7-7-7" {
		t.Errorf("union prints %q", got)
	}
	for _, bad := range []string{"0-1", "a-1-1", "0-1-1-1", "0--1"} {
		if _, err := ParseMariaDB(bad); err == nil {
			t.Errorf("%q parsed", bad)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{uuidA + ":1-5:tag:7", "0-1-42,1-1-7", "", ",,"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := ParseMySQL(text); err == nil {
			again, err := ParseMySQL(s.String())
			if err != nil || !again.Contains(s) || !s.Contains(again) {
				t.Errorf("%q: %q, %v", text, again, err)
			}
		}
		if s, err := ParseMariaDB(text); err == nil {
			again, err := ParseMariaDB(s.String())
			if err != nil || !slices.Equal(again.domains, s.domains) {
				t.Errorf("%q: %q, %v", text, again, err)
			}
		}
	})
}

func BenchmarkAdd(b *testing.B) {
	s, err := ParseMySQL(uuidA + ":1-100," + uuidB + ":1-7:9-20")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	n := int64(101)
	for b.Loop() {
		s.Add(uuidA, "", n)
		n++
	}
}
