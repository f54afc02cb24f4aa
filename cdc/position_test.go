package cdc_test

import (
	"strings"
	"testing"

	"github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
)

const uuid = "3e11fa47-71ca-11e1-9e33-c80aa9429562"

func TestContains(t *testing.T) {
	file := func(f string, o uint64) change.Position { return change.Position{Server: "a", File: f, Offset: o} }
	set := func(s string) change.Position {
		return change.Position{Server: "a", GTID: s, File: "b.000001", Offset: 4}
	}
	for _, c := range []struct {
		name       string
		have, want change.Position
		flavor     cdc.Flavor
		is         bool
	}{
		{"nothing is contained", file("b.000001", 4), change.Position{}, cdc.MySQL, true},
		{"nothing contains no more", change.Position{}, file("b.000001", 4), cdc.MySQL, false},
		{"same place", file("b.000001", 4), file("b.000001", 4), cdc.MySQL, true},
		{"offset behind", file("b.000001", 5_000_000_000), file("b.000001", 4_000_000_000), cdc.MySQL, true},
		{"offset before", file("b.000001", 4), file("b.000001", 5), cdc.MySQL, false},
		{"next file", file("b.1000000", 4), file("b.999999", 5000), cdc.MySQL, true},
		{"sets", set(uuid + ":1-9"), set(uuid + ":1-5:8"), cdc.MySQL, true},
		{"sets, a hole", set(uuid + ":1-5:7"), set(uuid + ":1-6"), cdc.MySQL, false},
		{"empty set before", set(""), set(uuid + ":1"), cdc.MySQL, false},
		{"empty set after", set(uuid + ":1"), set(""), cdc.MySQL, true},
		{"domains", set("0-1-9,1-1-4"), set("0-2-9"), cdc.MariaDB, true},
		{"domain missing", set("0-1-9"), set("1-1-1"), cdc.MariaDB, false},
	} {
		got, err := cdc.Contains(c.have, c.want, c.flavor)
		if err != nil || got != c.is {
			t.Errorf("%s: %t, %v", c.name, got, err)
		}
	}
	for _, c := range [][2]change.Position{
		{file("b.000001", 4), {Server: "z", File: "b.000001", Offset: 4}},
		{file("b.000001", 4), file("other.000001", 4)},
		{set("rubbish"), set(uuid + ":1")},
	} {
		if ok, err := cdc.Contains(c[0], c[1], cdc.MySQL); err == nil {
			t.Errorf("%v and %v compared: %t", c[0], c[1], ok)
		}
	}
}

func TestUnion(t *testing.T) {
	a := change.Position{Server: "a", GTID: uuid + ":1-5", File: "b.000002", Offset: 10}
	b := change.Position{Server: "a", GTID: uuid + ":3-9", File: "b.000001", Offset: 99}
	got, err := cdc.Union(a, b, cdc.MySQL)
	want := change.Position{Server: "a", GTID: uuid + ":1-9", File: "b.000002", Offset: 10}
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = cdc.Union(change.Position{}, b, cdc.MySQL)
	if err != nil || got != b {
		t.Errorf("union with nothing: %+v, %v", got, err)
	}
	got, err = cdc.Union(change.Position{GTID: "0-1-5"}, change.Position{GTID: "0-1-3,2-1-1"}, cdc.MariaDB)
	if err != nil || got.GTID != "0-1-5,2-1-1" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestCurrentMoves(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.MySQLServer) {
		src, db := open(t, config(s)), s.CreateDatabase(t)
		before, err := src.Current(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		exec(t, s, db, "CREATE TABLE t (id INT)")
		after, err := src.Current(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		forward, err1 := cdc.Contains(after, before, src.Server().Flavor)
		back, err2 := cdc.Contains(before, after, src.Server().Flavor)
		if err1 != nil || err2 != nil || !forward || back {
			t.Errorf("%v then %v: forward %t, back %t, %v, %v", before, after, forward, back, err1, err2)
		}
		if after.File == "" || after.Offset < 4 || after.Server != src.Server().Identity || strings.Contains(after.GTID, "\n") {
			t.Errorf("position %+v", after)
		}
		if gone, detail, err := src.Purged(t.Context(), after); err != nil || gone {
			t.Errorf("the newest position is purged: %s, %v", detail, err)
		}
	})
}
