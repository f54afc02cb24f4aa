// Command clickhouse-edge is a ClickHouse server for tests: the engine as a
// library behind an HTTP edge. It is a process of its own because the engine
// opens one data folder per process, and so that a test can kill it.
//
//	clickhouse-edge -library FILE -path DIR -listen ADDR -user NAME
//
// The password comes from CDC_EDGE_PASSWORD. SIGTERM ends it tidily.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/etlsandbox/cdc/internal/testenv/clickhouse/edge"
	"github.com/etlsandbox/cdc/internal/testenv/clickhouse/engine"
)

func main() {
	library := flag.String("library", "", "the shared library of the engine")
	path := flag.String("path", "", "the data folder")
	listen := flag.String("listen", "127.0.0.1:8123", "address to serve on")
	user := flag.String("user", "default", "the only user")
	memory := flag.Int64("memory", 3<<30, "bytes of memory that statements may take together")
	parallel := flag.Int("parallel", 16, "statements that run at once")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *listen, *library, *path, *memory, edge.Server{User: *user, Password: os.Getenv("CDC_EDGE_PASSWORD"), Parallel: *parallel})
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "clickhouse-edge: %v\n", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, then finishes what is under way.
func run(ctx context.Context, listen, library, path string, memory int64, s edge.Server) error {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", listen, err)
	}
	defer l.Close()
	s.Engine, err = engine.Open(library, path, fmt.Sprintf("max_server_memory_usage=%d", memory))
	if err != nil {
		return err
	}
	s.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	server := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	fmt.Fprintf(os.Stderr, "clickhouse-edge: serving on %s\n", listen)
	select {
	case err = <-served:
		return fmt.Errorf("serve on %s: %w", listen, err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err = server.Shutdown(end)
	if served := <-served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	if err != nil {
		return fmt.Errorf("end the server: %w", err)
	}
	s.Engine.Close()
	return nil
}
