package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const events = `{"Action":"run","Package":"github.com/etlsandbox/cdc/sinks/postgres","Test":"TestConformance"}
{"Action":"run","Package":"github.com/etlsandbox/cdc/sinks/postgres","Test":"TestConformance/soft_delete"}
{"Action":"output","Package":"github.com/etlsandbox/cdc/sinks/postgres","Test":"TestConformance/soft_delete","Output":"x\n"}
{"Action":"pass","Package":"github.com/etlsandbox/cdc/sinks/postgres","Test":"TestConformance/soft_delete"}
{"Action":"run","Package":"github.com/etlsandbox/cdc/sinks/sqlserver","Test":"TestConformance/soft_delete"}
{"Action":"fail","Package":"github.com/etlsandbox/cdc/sinks/sqlserver","Test":"TestConformance/soft_delete"}
{"Action":"skip","Package":"github.com/etlsandbox/cdc/internal/e2e","Test":"TestContract"}
{"Action":"pass","Package":"github.com/etlsandbox/cdc/sinks/postgres"}
`

func TestPageSaysWhatWasRead(t *testing.T) {
	report := filepath.Join(t.TempDir(), "servers.tsv")
	if err := os.WriteFile(report, []byte("postgres\t15.18\tmachine\t700\te2e\npostgres\t15.18\tmachine\t9\tx\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := run([]string{"-servers", report}, strings.NewReader(events), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"- postgres 15.18 (from machine)\n",
		"| soft delete | not run | pass | fail | not run | not run |\n",
		"| contracts warn, quarantine and stop | `internal/e2e` `TestContract` | skip |\n",
		"`TestDeadLetters` | not run |\n",
	} {
		if strings.Count(out.String(), want) != 1 {
			t.Errorf("the page does not say once: %s\n%s", want, out.String())
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, input := range []string{"", "FAIL build failed\n", `{"Action":"pass","Package":"p"}` + "\n"} {
		if err := run(nil, strings.NewReader(input), &strings.Builder{}); err == nil {
			t.Errorf("%q makes a page", input)
		}
	}
	bad := filepath.Join(t.TempDir(), "servers.tsv")
	if err := os.WriteFile(bad, []byte("postgres\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{"-servers", bad}, strings.NewReader(events), &strings.Builder{}); err == nil {
		t.Error("a report of one field is read")
	}
}
