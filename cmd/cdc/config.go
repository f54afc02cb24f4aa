package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/etlsandbox/cdc/internal/config"
)

func (a *app) configCommand() *cobra.Command {
	return section("config", "Show and check the configuration", "  cdc config check\n  cdc config show --json",
		a.configShow(), a.configCheck(), a.configSchema())
}

func (a *app) configShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Print the effective settings, secrets hidden",
		Long: `Print every setting as it is in effect after the file, the environment and --set. Behind each one that is not a
default stands where it was written. Secrets are shown as the reference they come from.`,
		Example: "  cdc config show\n  cdc config show -c /etc/cdc/cdc.yaml --json",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := a.loadConfig()
			if err != nil {
				return err
			}
			b, err := c.YAML()
			if a.json {
				b, err = c.JSON()
			}
			if err != nil {
				return err
			}
			_, err = a.stdout.Write(b)
			return err
		},
	}
}

// checked is the answer of config check as JSON.
type checked struct {
	File     string           `json:"file"`
	Valid    bool             `json:"valid"`
	Problems []checkedProblem `json:"problems"`
}

type checkedProblem struct {
	Source string `json:"source"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Path   string `json:"path"`
	What   string `json:"what"`
}

func (a *app) configCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Report everything that is wrong in the configuration, with its place",
		Long: `Read the configuration as ` + "`cdc run`" + ` would, without connecting anywhere. Unknown keys, wrong types and impossible
values are reported all at once, each with file, line and column. Exit status 1 when there is any.`,
		Example: "  cdc config check\n  cdc config check -c staging.yaml --set log.level=debug",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := a.loadConfig()
			var problems config.Problems
			if err != nil && !errors.As(err, &problems) {
				return err
			}
			if a.json {
				return a.checkJSON(c, problems)
			}
			if problems != nil {
				fmt.Fprintln(a.stderr, problems.Error())
				return answerNo()
			}
			file := c.File()
			if file == "" {
				file = "the environment"
			}
			a.say("%s is valid", file)
			return nil
		},
	}
}

func (a *app) checkJSON(c *config.Config, problems config.Problems) error {
	out := checked{File: a.configFile, Valid: problems == nil, Problems: []checkedProblem{}}
	if c != nil {
		out.File = c.File()
	}
	for _, p := range problems {
		out.Problems = append(out.Problems, checkedProblem{p.Place.Source, p.Place.Line, p.Place.Column, p.Path, p.What})
	}
	if err := a.printJSON(out); err != nil {
		return err
	}
	if problems != nil {
		return answerNo()
	}
	return nil
}

func (a *app) configSchema() *cobra.Command {
	return &cobra.Command{
		Use:     "schema",
		Short:   "Print the JSON Schema of the configuration file",
		Example: "  cdc config schema > cdc.schema.json\n  cdc config schema | less",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			b, err := config.Schema()
			if err != nil {
				return err
			}
			_, err = a.stdout.Write(b)
			return err
		},
	}
}

// docsCommand writes the reference pages that are made from the code.
func (a *app) docsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "docs DIR",
		Short:   "Write the reference pages into a folder",
		Example: "  cdc docs docs/reference\n  cdc docs /tmp/reference",
		Args:    exactArgs("a folder"),
		Hidden:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			for name, text := range referencePages(cmd.Root()) {
				if err := os.WriteFile(filepath.Join(args[0], name), []byte(text), 0o644); err != nil {
					return fmt.Errorf("write the reference: %w", err)
				}
			}
			return nil
		},
	}
}
