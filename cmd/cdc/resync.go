package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/etlsandbox/cdc/internal/admin"
)

func (a *app) resyncCommand() *cobra.Command {
	var req admin.ResyncRequest
	c := &cobra.Command{
		Use:   "resync TABLE… | --view V | --all | --sink S [--view V]",
		Short: "Make what is downstream equal again, writing only differences",
		Long: `Read tables again and put right whatever differs downstream: rows that are missing, wrong or too many. Rows that are
right are not written. A table is read at the source; a view is evaluated from the join state; with --sink only that sink
gets what is covered, and --view restricts it to one view or table that it delivers. The stream goes on meanwhile. The work
goes on in the daemon if this command is interrupted. --dry-run compares and says how many rows would change.

--all also accepts a source that is not the one captured so far, such as a restored or promoted server.`,
		Example: "  cdc resync sakila.film sakila.film_category\n  cdc resync sakila.payment --keys 100..200 --dry-run\n  cdc resync --sink neptune --view CustomerOrderFlat",
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Tables = args
			if err := req.Validate(); err != nil {
				return err
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			defer cl.Close()
			return a.resync(cmd.Context(), cl, req, 250*time.Millisecond)
		},
	}
	f := c.Flags()
	f.StringVar(&req.View, "view", "", "fill this view again")
	f.StringVar(&req.Sink, "sink", "", "fill this sink again")
	f.BoolVar(&req.All, "all", false, "everything, also from another server than so far")
	f.StringVar(&req.Keys, "keys", "", "keys `A..B` only, both included")
	f.BoolVar(&req.DryRun, "dry-run", false, "say what would be done")
	return c
}

func (a *app) resync(ctx context.Context, cl *admin.Client, req admin.ResyncRequest, every time.Duration) error {
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	report, err := cl.Resync(ctx, req)
	if err != nil {
		return err
	}
	if !req.DryRun && len(report.Covers) > 0 {
		if report.Covers, err = a.follow(ctx, cl, report.Covers, every); err != nil {
			return err
		}
	}
	if a.json {
		err = a.printJSON(report)
	} else {
		a.printResync(report, req.DryRun)
	}
	if err != nil {
		return err
	}
	for _, c := range report.Covers {
		if c.State == "failed" {
			return answerNo()
		}
	}
	return nil
}

func (a *app) printResync(r admin.ResyncReport, dryRun bool) {
	if len(r.Covers) == 0 {
		a.say("nothing to resync")
	}
	for _, w := range r.Would {
		moving := ""
		if w.Moving > 0 {
			moving = fmt.Sprintf(", %d never held still", w.Moving)
		}
		a.say("%s/%s: %d of %d rows would change%s", w.Sink, w.View, w.Rows, w.Of, moving)
	}
	if len(r.Would) > 0 {
		return
	}
	for _, c := range r.Covers {
		tables := strings.Join(c.Tables, ", ")
		switch {
		case dryRun:
			a.say("would read about %d rows of %s", c.Of, tables)
		case c.State == "failed":
			a.say("%s: %s", tables, a.paint(red, "failed"))
			a.trouble(c.Trouble)
		case c.State == "replaced":
			a.say("%s: a later cover does it instead, see cdc status", tables)
		default:
			a.say("%s: %d rows in %d chunks, %s", tables, c.Rows, c.Chunks, c.Ended.Sub(c.Started).Round(time.Millisecond))
		}
	}
}

// maxUnknown is how often a cover may be missing before it counts as forgotten.
const maxUnknown = 10

// follow shows the covers until each has ended.
func (a *app) follow(ctx context.Context, cl *admin.Client, begun []admin.Cover, every time.Duration) ([]admin.Cover, error) {
	p := a.newProgress()
	defer p.end()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for unknown := 0; ; {
		st, err := cl.Status(ctx) // a resync of everything is a heal, so it is not among the resyncs
		if err != nil {
			return nil, err
		}
		running := false
		for i, b := range begun {
			at := indexOf(st.Covers, b.ID)
			if at < 0 {
				// It may have begun so lately that it is not shown yet.
				if unknown++; unknown > maxUnknown {
					return nil, fmt.Errorf("the daemon does not know the resync %s any more: it was started again; see `cdc status`", b.ID)
				}
				running = true
				continue
			}
			begun[i] = st.Covers[at]
			p.show(strings.Join(begun[i].Tables, ", "), begun[i].Rows, begun[i].Of)
			running = running || begun[i].State == "waiting" || begun[i].State == "running"
		}
		if !running {
			return begun, nil
		}
		select {
		case <-ctx.Done():
			fmt.Fprintln(a.stderr, "the resync goes on in the daemon; see `cdc status`")
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

func indexOf(covers []admin.Cover, id string) int {
	for i, c := range covers {
		if c.ID == id {
			return i
		}
	}
	return -1
}
