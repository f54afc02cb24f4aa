package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// program builds the program once per run of the tests.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "cdc-e2e-")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "cdc")
	cmd := exec.Command("go", "build", "-o", bin, "github.com/etlsandbox/cdc/cmd/cdc")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return bin, nil
})

// budget is how much longer than their minimum random tests may run, for one of n tests that share it.
func budget(n int) time.Duration {
	d, err := time.ParseDuration(os.Getenv("CDC_TEST_BUDGET"))
	if err != nil {
		return 0
	}
	return d / time.Duration(n)
}

// seedOf returns the seed of a random test, and prints it.
func seedOf(t *testing.T) int64 {
	t.Helper()
	seed := time.Now().UnixNano()
	if s := os.Getenv("CDC_TEST_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseInt(s, 10, 64); err != nil {
			t.Fatalf("CDC_TEST_SEED %q is no number", s)
		}
	}
	t.Logf("seed %d (repeat with CDC_TEST_SEED=%d)", seed, seed)
	return seed
}

// eventually looks until there says so; it fails the test when the time is up.
func eventually(t *testing.T, limit time.Duration, what string, there func(ctx context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !there(ctx) {
		select {
		case <-ctx.Done():
			t.Fatalf("not within %s: %s", limit, what)
		case <-tick.C:
		}
	}
}
