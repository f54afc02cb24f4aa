package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// finding is one precondition and how it stands.
type finding struct {
	Check string `json:"check"` // what was looked at: "source: binlog_format"
	// Level is ok, warn (works, with a cost that Text names) or bad (does not work).
	Level string `json:"level"`
	Text  string `json:"text"`
	Fix   string `json:"fix,omitempty"` // the line that mends it
}

// The levels of a finding.
const (
	levelOK   = "ok"
	levelWarn = "warn"
	levelBad  = "bad"
)

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check every precondition, and print the line that mends each finding",
		Long: `Check the source's log settings and grants, the views and the destinations, as ` + "`cdc run`" + ` does at start, and print for
each finding the line that mends it. Nothing is changed anywhere. Exit status 1 when something does not work.`,
		Example: "  cdc doctor\n  cdc doctor -c /etc/cdc/cdc.yaml --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.loadConfig()
			if err != nil {
				return err
			}
			ctx, cancel := a.bounded(cmd.Context())
			defer cancel()
			found, err := a.deps.doctor(ctx, c)
			if err != nil {
				return err
			}
			return a.printFindings(found)
		},
	}
}

func (a *app) printFindings(found []finding) error {
	bad, warn := 0, 0
	for _, f := range found {
		switch f.Level {
		case levelBad:
			bad++
		case levelWarn:
			warn++
		}
	}
	if a.json {
		if found == nil {
			found = []finding{}
		}
		if err := a.printJSON(found); err != nil {
			return err
		}
	} else {
		for _, f := range found {
			a.printFinding(f)
		}
		a.say("%d checks: %d bad, %d warnings", len(found), bad, warn)
	}
	if bad > 0 {
		return answerNo()
	}
	return nil
}

func (a *app) printFinding(f finding) {
	mark := a.paint(green, "ok  ")
	switch f.Level {
	case levelWarn:
		mark = a.paint(yellow, "warn")
	case levelBad:
		mark = a.paint(red, "BAD ")
	}
	a.say("%s  %s: %s", mark, f.Check, f.Text)
	if f.Fix != "" {
		a.say("        %s", strings.ReplaceAll(f.Fix, "\n", "\n        "))
	}
}
