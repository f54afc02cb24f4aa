package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/etlsandbox/cdc/internal/admin"
	"github.com/etlsandbox/cdc/internal/config"
)

// process is what the program gets from the system.
type process struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        []string // KEY=VALUE
	hangup         <-chan os.Signal
	deps           deps
}

// app is one run of the program: what it got from the system, and the global flags.
type app struct {
	process
	configFile string
	sets       []string
	addr       string
	json       bool
	timeout    time.Duration
	quiet      bool
	noColor    bool
}

// run executes one command line and returns its exit status.
func run(ctx context.Context, args []string, p process) int {
	a := &app{process: p}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	err := root.ExecuteContext(ctx)
	if text := explain(err); text != "" {
		fmt.Fprintf(p.stderr, "cdc: %s\n", text)
	}
	return statusOf(err)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "cdc",
		Short: "Keep joined tables in other databases equal to a SQL query over a live MySQL database",
		Long: `cdc follows the log of a MySQL or MariaDB server, keeps views over it up to date as rows change, and delivers
them to other databases. It never polls the source and never writes to it.

Exit status: 0 done, equal or healthy; 1 the answer is no, or the daemon stopped on something to mend;
2 could not tell or could not start; 3 another daemon is in charge.`,
		Example:       "  cdc init --source mysql://cdc@db.example.com/sakila\n  cdc run -c cdc.yaml",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	f := root.PersistentFlags()
	f.StringVarP(&a.configFile, "config", "c", "", "configuration `FILE` (default ./cdc.yaml, then /etc/cdc/cdc.yaml)")
	f.StringArrayVar(&a.sets, "set", nil, "override one setting, as `KEY=VALUE`; may be repeated")
	f.StringVar(&a.addr, "addr", "", "`URL` of the daemon, with the token in CDC_TOKEN (default its control socket)")
	f.BoolVar(&a.json, "json", false, "print JSON")
	f.DurationVar(&a.timeout, "timeout", 0, "give up after this long (default: never)")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "print errors only")
	f.BoolVar(&a.noColor, "no-color", false, "print without colour (also: NO_COLOR)")
	for _, group := range [][]*cobra.Command{
		{a.initCommand(), a.doctorCommand(), a.configCommand(), a.runCommand()},
		{a.statusCommand(), a.waitCommand(), a.reloadCommand(), a.verifyCommand(), a.resyncCommand()},
		{a.sinkCommand(), a.dlqCommand(), a.ddlCommand(), a.migrateCommand(), a.pauseCommand(true), a.pauseCommand(false)},
		{a.viewCommand(), a.topicsCommand(), a.seedCommand(), a.versionCommand(), a.completionCommand()},
		{a.demoCommand(), a.docsCommand()},
	} {
		root.AddCommand(group...)
	}
	return root
}

// configOptions says where settings come from.
func (a *app) configOptions() config.Options {
	return config.Options{File: a.configFile, Environ: a.environ, Sets: a.sets}
}

func (a *app) loadConfig() (*config.Config, error) { return config.Load(a.configOptions()) }

// client returns a client of the running daemon; the caller closes it.
func (a *app) client() (*admin.Client, error) {
	if a.addr != "" {
		token, _ := a.lookupEnv("CDC_TOKEN")
		return admin.NewClient(a.addr, token)
	}
	dir, err := config.DataDir(a.configOptions())
	if err != nil {
		return nil, err
	}
	return admin.NewSocketClient(dir), nil
}

// callTimeout bounds calls that answer at once.
const callTimeout = 30 * time.Second

// brief returns a context for a call that answers at once.
func (a *app) brief(ctx context.Context) (context.Context, context.CancelFunc) {
	d := a.timeout
	if d <= 0 {
		d = callTimeout
	}
	return context.WithTimeout(ctx, d)
}

// bounded returns a context for a call that may run for long: bounded by --timeout alone.
func (a *app) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if a.timeout > 0 {
		return context.WithTimeout(ctx, a.timeout)
	}
	return context.WithCancel(ctx)
}

func (a *app) lookupEnv(name string) (string, bool) {
	for _, kv := range a.environ {
		if k, v, ok := strings.Cut(kv, "="); ok && k == name {
			return v, true
		}
	}
	return "", false
}

// say prints a line for people: nothing with --quiet.
func (a *app) say(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.stdout, format+"\n", args...)
	}
}

// printJSON prints a value as indented JSON.
func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colour is an ANSI colour.
type colour string

const (
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
)

// paint colours text on a terminal, unless told not to.
func (a *app) paint(c colour, text string) string {
	if _, no := a.lookupEnv("NO_COLOR"); no || a.noColor || !isTerminal(a.stdout) {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// noArgs refuses arguments with a message that names them.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no arguments, got %q: see `%s --help`", cmd.CommandPath(), args, cmd.CommandPath())
	}
	return nil
}

// exactArgs asks for arguments by their names.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return fmt.Errorf("%s takes %s, got %d arguments: see `%s --help`", cmd.CommandPath(), strings.Join(names, " and "), len(args), cmd.CommandPath())
		}
		return nil
	}
}

// section makes a command that only holds others. Called alone it prints its help and is a usage error.
func section(use, short, example string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Example: example, RunE: func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("unknown command %q for %q: see `%s --help`", args[0], cmd.CommandPath(), cmd.CommandPath())
		}
		cmd.SetOut(cmd.ErrOrStderr())
		if err := cmd.Help(); err != nil {
			return err
		}
		return couldNotTell()
	}}
	c.AddCommand(commands...)
	return c
}
