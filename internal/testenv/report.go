package testenv

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// reportStart appends a line about s to the report file, if there is one.
func (e *Env) reportStart(s *Server, took time.Duration) error {
	return e.reportLine(s.Kind, s.Version, s.From, seconds(took))
}

// reportMissing appends a line about a server that tests had to do without.
func (e *Env) reportMissing(kind string) error {
	return e.reportLine(kind, "-", "MISSING", "-")
}

// reportLine appends one line in a single write, so that processes that
// report at once do not mix theirs.
func (e *Env) reportLine(fields ...string) error {
	if e.report == "" {
		return nil
	}
	f, err := os.OpenFile(e.report, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return fmt.Errorf("open the report of servers: %w", err)
	}
	fields = append(fields, filepath.Base(os.Args[0]))
	if _, err := f.WriteString(strings.Join(fields, "\t") + "\n"); err != nil {
		_ = f.Close() // the write's error is the one to tell
		return fmt.Errorf("write the report of servers: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write the report of servers: %w", err)
	}
	return nil
}
