package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etlsandbox/cdc/internal/testenv"
)

// TestRun: the command sees the server's address, and its status is ours.
func TestRun(t *testing.T) {
	t.Setenv("CDC_TESTENV_REPORT", filepath.Join(t.TempDir(), "report"))
	seen := filepath.Join(t.TempDir(), "seen")
	err := command(t.Context(), []string{"run", "postgres", "--", "sh", "-c", `echo "$CDC_TEST_POSTGRES" > "$1"; exit 3`, "sh", seen})
	if testenv.IsMissing(err) && os.Getenv("CDC_REQUIRE") == "" {
		t.Skip(err)
	}
	var child childError
	if !errors.As(err, &child) || child.status != 3 {
		t.Errorf("run = %v, want the command's status 3", err)
	}
	if text, err := os.ReadFile(seen); err != nil || !strings.HasPrefix(string(text), "postgres://") {
		t.Errorf("the command saw %q, %v; want an address", text, err)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"fetch"}, {"run", "postgres", "true"}, {"grow", "postgres"}, {"up", "oracle"}, {"fetch", "oracle"}} {
		err := command(t.Context(), args)
		var exit *exec.ExitError
		if err == nil || errors.As(err, &exit) {
			t.Errorf("testenv %v: %v, want a complaint", args, err)
		}
	}
	if err := command(t.Context(), []string{"sweep"}); err != nil {
		t.Errorf("sweep: %v", err)
	}
	if err := command(t.Context(), []string{"report", filepath.Join(t.TempDir(), "none")}); err != nil {
		t.Errorf("report without a file: %v", err)
	}
}
