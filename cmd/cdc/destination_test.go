package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/internal/config"
	"github.com/etlsandbox/cdc/sinks/clickhouse"
)

func TestTableSettings(t *testing.T) {
	c := &config.Sink{Deliver: []config.Deliver{
		{From: config.From{View: "Orders"}, OrderBy: []string{"b", "a"}},
		{From: config.From{View: "Lines"}, To: "lines", PartitionBy: "a % 8"},
		{From: config.From{View: "Plain"}},
	}}
	want := map[string]clickhouse.TableSettings{"Orders": {OrderBy: []string{"b", "a"}}, "lines": {PartitionBy: "a % 8"}}
	if diff := cmp.Diff(want, tableSettings(c)); diff != "" {
		t.Error(diff)
	}
}
