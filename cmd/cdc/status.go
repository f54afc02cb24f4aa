package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/etlsandbox/cdc/internal/admin"
)

func (a *app) statusCommand() *cobra.Command {
	var watch bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show stages, tables, views, sinks, lag and running covers",
		Long: `Ask the running daemon how it is. Exit status 0 when it is ready, 1 when it is not (the reasons are printed), 2 when no
daemon answers.`,
		Example: "  cdc status\n  cdc status --watch",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			defer cl.Close()
			if watch {
				return a.watchStatus(cmd.Context(), cl, time.Second)
			}
			st, err := a.oneStatus(cmd.Context(), cl)
			if err != nil {
				return err
			}
			if !st.Ready {
				return answerNo()
			}
			return nil
		},
	}
	c.Flags().BoolVarP(&watch, "watch", "w", false, "show it again every second until interrupted")
	return c
}

// oneStatus asks once and prints the answer.
func (a *app) oneStatus(ctx context.Context, cl *admin.Client) (admin.Status, error) {
	ctx, cancel := a.brief(ctx)
	defer cancel()
	st, err := cl.Status(ctx)
	if err != nil {
		return st, err
	}
	if a.json {
		return st, a.printJSON(st)
	}
	a.printStatus(st, time.Now())
	return st, nil
}

// watchStatus prints until the context ends; a daemon that goes away meanwhile is waited for.
func (a *app) watchStatus(ctx context.Context, cl *admin.Client, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if isTerminal(a.stdout) && !a.json {
			fmt.Fprint(a.stdout, "\x1b[H\x1b[2J")
		}
		if _, err := a.oneStatus(ctx, cl); err != nil && ctx.Err() == nil {
			if !errors.Is(err, admin.ErrUnreachable) {
				return err
			}
			fmt.Fprintf(a.stderr, "cdc: %v; trying again\n", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (a *app) printStatus(st admin.Status, now time.Time) {
	state := a.paint(green, "ready")
	if !st.Ready {
		state = a.paint(red, "not ready: "+strings.Join(st.NotReady, "; "))
	}
	a.say("%s  cdc %s, up %s, %s", st.Name, st.Version, now.Sub(st.StartedAt).Round(time.Second), state)
	connected := "connected"
	if !st.Source.Connected {
		connected = a.paint(red, "not connected")
	}
	a.say("source  %s %s at %s, %s, at %s, lag %s", st.Source.Type, st.Source.Version, st.Source.Address, connected,
		orNone(st.Source.Position), seconds(st.Source.LagSeconds))
	a.trouble(st.Source.Trouble)
	a.table("STREAM\tSEQ\tPOSITION", len(st.Streams), func(i int) (string, admin.Trouble) {
		s := st.Streams[i]
		return fmt.Sprintf("%s\t%d\t%s", s.Name, s.Seq, orNone(s.Position)), admin.Trouble{}
	})
	a.table("STAGE\tSTATE\tSINCE", len(st.Stages), func(i int) (string, admin.Trouble) {
		s := st.Stages[i]
		return fmt.Sprintf("%s\t%s\t%s", s.Name, s.State, s.Since.UTC().Format(time.RFC3339)), s.Trouble
	})
	a.table("TABLE\tSTATE\tCOVERED FROM", len(st.Tables), func(i int) (string, admin.Trouble) {
		t := st.Tables[i]
		from := "-"
		if t.CoveredFrom > 0 {
			from = strconv.FormatUint(t.CoveredFrom, 10)
		}
		return fmt.Sprintf("%s\t%s\t%s", t.Name, t.State, from), t.Trouble
	})
	a.table("VIEW\tSTATE\tKEY", len(st.Views), func(i int) (string, admin.Trouble) {
		v := st.Views[i]
		return fmt.Sprintf("%s\t%s\t%s", v.Name, v.State, strings.Join(v.Key, ", ")), v.Trouble
	})
	a.table("SINK\tTYPE\tSTATE\tSEQ\tLAG\tBEHIND\tQUARANTINED\tCOVERS", len(st.Sinks), func(i int) (string, admin.Trouble) {
		s := st.Sinks[i]
		lag, behind := seconds(s.LagSeconds), strconv.FormatUint(s.LagTransactions, 10)
		if s.LagUnknown {
			lag, behind = "-", "-"
		}
		return fmt.Sprintf("%s\t%s\t%s\t%d\t%s\t%s\t%d\t%s", s.Name, s.Type, s.State, s.Seq, lag, behind,
			s.Quarantined, orNone(strings.Join(s.Covers, ", "))), s.Trouble
	})
	a.table("COVER\tKIND\tSTATE\tROWS\tOF\tTABLES", len(st.Covers), func(i int) (string, admin.Trouble) {
		c := st.Covers[i]
		return fmt.Sprintf("%s\t%s\t%s\t%d\t%d\t%s", c.ID, c.Kind, c.State, c.Rows, c.Of, strings.Join(c.Tables, ", ")), c.Trouble
	})
}

// table prints aligned rows; what is wrong with one stands below all of them.
func (a *app) table(head string, n int, row func(int) (string, admin.Trouble)) {
	if n == 0 || a.quiet {
		return
	}
	fmt.Fprintln(a.stdout)
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, head)
	for i := range n {
		line, _ := row(i)
		fmt.Fprintln(w, line)
	}
	w.Flush()
	for i := range n {
		line, t := row(i)
		if t.Error != "" {
			name, _, _ := strings.Cut(line, "\t")
			a.say("%s: %s", name, a.paint(red, t.Error))
			if t.Hint != "" {
				a.say("    %s", t.Hint)
			}
		}
	}
}

func (a *app) trouble(t admin.Trouble) {
	if t.Error == "" {
		return
	}
	a.say("    %s", a.paint(red, t.Error))
	if t.Hint != "" {
		a.say("    %s", t.Hint)
	}
}

func orNone(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond).String()
}
