package testenv

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// absent stands in a report for the version of a server that was not there.
const absent = "MISSING"

// reportStart appends a line about s to the report file, if there is one.
func (e *Env) reportStart(s *Server, took time.Duration) error {
	return e.reportLine(s.Kind, s.Version, s.From, took)
}

// reportMissing appends a line about a server that a test had to do without.
func (e *Env) reportMissing(kind string) error {
	return e.reportLine(kind, absent, "-", 0)
}

// reportLine appends one line in a single write, so that processes that
// report at once do not mix theirs.
func (e *Env) reportLine(kind, version, from string, took time.Duration) error {
	if e.report == "" {
		return nil
	}
	f, err := os.OpenFile(e.report, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return fmt.Errorf("open the report of servers: %w", err)
	}
	line := strings.Join([]string{kind, version, from, strconv.FormatInt(took.Milliseconds(), 10), filepath.Base(os.Args[0])}, "\t")
	if _, err := f.WriteString(line + "\n"); err != nil {
		return errors.Join(fmt.Errorf("write the report of servers: %w", err), f.Close())
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write the report of servers: %w", err)
	}
	return nil
}

// usage is what a report says about one version of one kind of server.
type usage struct {
	kind, version, from string
	times               int
	slowest             time.Duration // from the wish to the first answer
	programs            []string      // test programs that used it
}

// WriteReport writes the report file at path as a table: which servers, of
// which versions, from where, how often started, how long the slowest start
// took, and by which test programs. A file that is not there is an empty report.
func WriteReport(w io.Writer, path string) error {
	uses, err := readReport(path)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SERVER\tVERSION\tFROM\tSTARTS\tSLOWEST\tUSED BY")
	for _, u := range uses {
		starts, slowest := strconv.Itoa(u.times), seconds(u.slowest)
		if u.version == absent {
			starts, slowest = "tests SKIPPED: "+starts, "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", u.kind, u.version, u.from, starts, slowest, strings.Join(u.programs, " "))
	}
	if len(uses) == 0 {
		fmt.Fprintln(table, "(none was started)")
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write the table of servers: %w", err)
	}
	return nil
}

func readReport(path string) ([]usage, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the report of servers: %w", err)
	}
	defer f.Close()
	byServer := map[string]*usage{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		if len(fields) != 5 {
			return nil, fmt.Errorf("read the report of servers %s: the line %q has %d fields, not 5", path, lines.Text(), len(fields))
		}
		took, err := strconv.ParseInt(fields[3], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read the report of servers %s: %w", path, err)
		}
		key := strings.Join(fields[:3], "\t")
		u := byServer[key]
		if u == nil {
			u = &usage{kind: fields[0], version: fields[1], from: fields[2]}
			byServer[key] = u
		}
		u.times++
		u.slowest = max(u.slowest, time.Duration(took)*time.Millisecond)
		if name := strings.TrimSuffix(fields[4], ".test"); !slices.Contains(u.programs, name) {
			u.programs = append(u.programs, name)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the report of servers: %w", err)
	}
	var uses []usage
	for _, u := range byServer {
		slices.Sort(u.programs)
		uses = append(uses, *u)
	}
	slices.SortFunc(uses, func(a, b usage) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.version, b.version), cmp.Compare(a.from, b.from))
	})
	return uses, nil
}
