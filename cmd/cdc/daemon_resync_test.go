package main

import (
	"testing"

	"github.com/etlsandbox/cdc/internal/pipeline"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/view"
)

// A table that is read again for everybody changes the views over it; one that is read again for a sink alone does not
// pass through the join, and a dry run tells of the table only.
func TestReaches(t *testing.T) {
	line := &change.Table{ID: change.TableID{DB: "shop", Name: "line"}}
	s := &service{plans: []*view.Plan{{Name: "Lines", Inputs: []view.Input{{Table: line}}}}}
	for _, c := range []struct {
		reader, table, name string
		direct, reached     bool
	}{
		{"", "shop.line", "shop.line", true, true},
		{"", "shop.line", "Lines", false, true},
		{"", "shop.other", "Lines", false, false},
		{"mars", "shop.line", "shop.line", true, true},
		{"mars", "shop.line", "Lines", false, false},
		{"mars", "Lines", "Lines", true, true},
	} {
		direct, reached := s.reaches([]resyncAsk{{ask: pipeline.Ask{Reader: c.reader, Tables: []string{c.table}}}}, c.name)
		if direct != c.direct || reached != c.reached {
			t.Errorf("a resync of %s for %q and %s: %t, %t, want %t, %t", c.table, c.reader, c.name, direct, reached, c.direct, c.reached)
		}
	}
}
