package main

import (
	"strings"
	"testing"

	"github.com/etlsandbox/cdc/internal/config"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

func flatShape(name string, columns ...string) *change.Table {
	t := &change.Table{ID: change.TableID{Name: name}, Key: []int{0}}
	for _, c := range columns {
		t.Columns = append(t.Columns, change.Column{Name: c, Type: change.Type{Kind: change.Int, Name: "int"}})
	}
	return t
}

func TestTargetSpelt(t *testing.T) {
	c := &config.Sink{Names: "snake_case", ExtraColumns: []string{"applied_at", "position"}}
	d := config.Deliver{From: config.From{View: "OrderFlat"}, Delete: "soft", Identity: "Id"}
	got := target(c, d, flatShape("OrderFlat", "OrderId"))
	if got.To != "order_flat" || got.MarkColumn() != "is_deleted" || got.Identity != "Id" || got.Table.Columns[0].Name != "OrderId" {
		t.Errorf("got %+v", got)
	}
	if want := (sinks.Extra{Position: "_cdc_position", AppliedAt: "_cdc_applied_at"}); got.Extra != want {
		t.Errorf("extra columns %+v, want %+v", got.Extra, want)
	}
	if got, err := spelled(c, got); err != nil || got.Table.Columns[0].Name != "order_id" {
		t.Errorf("got %+v, %v", got.Table, err)
	}
	d.To = "OrderFlats" // a name that somebody has typed stays
	if got := target(c, d, flatShape("OrderFlat", "OrderId")); got.To != "OrderFlats" {
		t.Errorf("delivered to %s", got.To)
	}
	if got := target(&config.Sink{Names: "keep"}, config.Deliver{}, flatShape("OrderFlat", "OrderId")); got.To != "OrderFlat" || got.MarkColumn() != "IsDeleted" || got.Extra != (sinks.Extra{}) {
		t.Errorf("got %+v", got)
	}
}

func TestDistinct(t *testing.T) {
	c := &config.Sink{Names: "snake_case"}
	for _, tt := range []struct {
		shapes []*change.Table
		want   []string
	}{
		{[]*change.Table{flatShape("OrderFlat", "OrderId"), flatShape("order_flat", "OrderId")}, []string{"OrderFlat", "order_flat", "(to)"}},
		{[]*change.Table{flatShape("OrderFlat", "OrderId", "order_id")}, []string{"OrderId", "order_id", "names: keep"}},
		{[]*change.Table{flatShape("CdcProgress", "OrderId")}, []string{"CdcProgress", "cdc_progress"}},
		{[]*change.Table{flatShape("OrderFlat", "OrderId"), flatShape("Order", "order_id")}, nil},
	} {
		var targets []sinks.Target
		for _, s := range tt.shapes {
			targets = append(targets, target(c, config.Deliver{}, s))
		}
		err := distinct("neptune", c, targets)
		if (err != nil) != (tt.want != nil) {
			t.Errorf("%v: %v", tt.want, err)
		}
		for _, w := range append(tt.want, "sinks.neptune") {
			if err != nil && !strings.Contains(err.Error(), w) {
				t.Errorf("the refusal does not say %q: %v", w, err)
			}
		}
	}
}

func TestFollowDistinct(t *testing.T) {
	all, err := config.ParseRegexp(".*")
	if err != nil {
		t.Fatal(err)
	}
	c := &config.Sink{Names: "snake_case", Deliver: []config.Deliver{{From: config.From{Tables: all}}}}
	var refused []string
	follow := followDistinct("neptune", c, []sinks.Target{target(c, config.Deliver{}, flatShape("OrderFlat", "OrderId"))}, func(t *change.Table, err error) {
		refused = append(refused, t.ID.Name+": "+err.Error())
	})
	for _, tt := range []struct {
		name string
		ok   bool
	}{{"StockMove", true}, {"stock_move", false}, {"StockMove", true}, {"order_flat", false}} {
		if _, ok := follow(flatShape(tt.name, "Id")); ok != tt.ok {
			t.Errorf("%s: followed %v, want %v", tt.name, ok, tt.ok)
		}
	}
	if len(refused) != 2 || !strings.Contains(refused[0], "StockMove") || !strings.Contains(refused[1], "OrderFlat") {
		t.Errorf("refused: %q", refused)
	}
}
