package main

import (
	_ "embed" // the example configuration is data, not code
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/etlsandbox/cdc/schemas/views"
)

//go:embed init.yaml
var exampleConfig string

func (a *app) initCommand() *cobra.Command {
	var source string
	c := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write a commented cdc.yaml and an example view",
		Long: `Write a commented cdc.yaml and an example view into a folder (default: here). Files that exist are left alone.

With --source the server is looked at first: its address goes into the file, its tables are listed, and the GRANT and SET
lines that capture needs are printed. The password may stand in the URL or in the variable SOURCE_PASSWORD; it is never
written into the file.`,
		Example: "  cdc init\n  cdc init pipeline --source mysql://cdc@db.example.com:3306/sakila",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			if source == "" {
				if err := a.writeExample(dir, exampleConfig); err != nil {
					return err
				}
				a.say("\nNext: fill in source and sinks, then `cdc config check`, `cdc doctor`, `cdc run`.")
				return nil
			}
			return a.initFrom(cmd, dir, source)
		},
	}
	c.Flags().StringVar(&source, "source", "", "look at this server: mysql://USER@HOST:3306/DATABASE")
	return c
}

func (a *app) initFrom(cmd *cobra.Command, dir, source string) error {
	s, err := parseSourceURL(source)
	if err != nil {
		return err
	}
	if s.Password == "" {
		s.Password, _ = a.lookupEnv("SOURCE_PASSWORD")
	}
	ctx, cancel := a.brief(cmd.Context())
	defer cancel()
	found, err := a.deps.inspect(ctx, s)
	if err != nil {
		return err
	}
	if err := a.writeExample(dir, configFor(s)); err != nil {
		return err
	}
	a.say("\n%s %s at %s:%d has %d tables:", found.Flavor, found.Version, s.Host, s.Port, len(found.Tables))
	for _, t := range found.Tables {
		a.say("  %s", t)
	}
	if found.Unsupported != "" {
		a.say("\nNot all of them can be captured:\n%s", found.Unsupported)
	}
	a.say("\nRun on the server, as its administrator; `cdc doctor` tells what is still missing:\n\n%s", strings.Join(serverLines(s, found), "\n"))
	a.say("\nNext: fill in the sinks, then `cdc config check`, `cdc doctor`, `cdc run`.")
	return nil
}

var (
	hostLine     = regexp.MustCompile(`(?m)^  host: db\.example\.com`)
	portLine     = regexp.MustCompile(`(?m)^  port: 3306`)
	userLine     = regexp.MustCompile(`(?m)^  user: cdc `)
	includeValue = regexp.MustCompile(`include: \["sakila\.\*"\]`)
)

// configFor is the example with the source's address in it; its first occurrences are the source's.
func configFor(s sourceURL) string {
	text := replaceFirst(exampleConfig, hostLine, "  host: "+strconv.Quote(s.Host))
	text = replaceFirst(text, portLine, "  port: "+strconv.Itoa(s.Port))
	text = replaceFirst(text, userLine, "  user: "+strconv.Quote(s.User)+" ")
	if s.Database != "" {
		text = replaceFirst(text, includeValue, "include: ["+strconv.Quote(regexp.QuoteMeta(s.Database)+`\..*`)+"]")
	}
	return text
}

func replaceFirst(text string, re *regexp.Regexp, with string) string {
	at := re.FindStringIndex(text)
	if at == nil {
		return text
	}
	return text[:at[0]] + with + text[at[1]:]
}

// serverLines are the lines that prepare a server for capture.
func serverLines(s sourceURL, found inspection) []string {
	account := "'" + strings.ReplaceAll(s.User, "'", "''") + "'@'%'"
	on := "*.*"
	if s.Database != "" {
		on = "`" + strings.ReplaceAll(s.Database, "`", "``") + "`.*"
	}
	if found.Flavor == "mariadb" {
		return []string{
			"GRANT SELECT ON " + on + " TO " + account + ";",
			"GRANT REPLICATION SLAVE, BINLOG MONITOR, SLAVE MONITOR ON *.* TO " + account + ";",
			"SET GLOBAL binlog_format = 'ROW';         -- and in my.cnf: log_bin, binlog_format = ROW",
			"SET GLOBAL binlog_row_image = 'FULL';",
			"SET GLOBAL binlog_row_metadata = 'FULL';",
		}
	}
	return []string{
		"GRANT SELECT ON " + on + " TO " + account + ";",
		"GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO " + account + ";",
		"SET PERSIST binlog_format = 'ROW';        -- 5.7: SET GLOBAL, and in my.cnf",
		"SET PERSIST binlog_row_image = 'FULL';",
		"SET PERSIST binlog_row_metadata = 'FULL'; -- from 8.0",
	}
}

// writeExample writes the two files, neither over one that exists.
func (a *app) writeExample(dir, text string) error {
	files := []struct{ path, text string }{
		{filepath.Join(dir, "cdc.yaml"), text},
		{filepath.Join(dir, "schemas", "views", views.ExampleFile), views.Example()},
	}
	written := 0
	for _, f := range files {
		err := writeNew(f.path, f.text)
		switch {
		case errors.Is(err, fs.ErrExist):
			fmt.Fprintf(a.stderr, "%s is there already and was left alone\n", f.path)
		case err != nil:
			return fmt.Errorf("write the example: %w", err)
		default:
			written++
			a.say("wrote %s", f.path)
		}
	}
	if written == 0 {
		return errors.New("nothing to write: name another folder, as in `cdc init DIR`")
	}
	return nil
}

func writeNew(path, text string) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = f.WriteString(text)
	return err
}
