package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/etlsandbox/cdc/internal/admin"
)

func (a *app) verifyCommand() *cobra.Command {
	var req admin.VerifyRequest
	var allowQuarantined bool
	c := &cobra.Command{
		Use:   "verify",
		Short: "Compare the destinations with the source's own answer, while writes go on",
		Long: `Send each view's SQL to the source and compare its answer with what each destination shows, by ranges of the key. A row
counts as different only if it differs again after the destination has passed the place of the first read.

Exit status 0 when all is equal, 1 when rows differ or are in quarantine, 2 when it could not be told (a row that never
holds still, a timeout, no daemon).`,
		Example: "  cdc verify\n  cdc verify --sink neptune --view CustomerOrderFlat --keys 1..1000",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			defer cl.Close()
			req.TimeoutSeconds = a.timeout.Seconds()
			p := a.newProgress()
			report, err := cl.Verify(cmd.Context(), req, func(v admin.VerifyProgress) { p.show(v.Sink+"/"+v.View, v.Rows, v.Of) })
			p.end()
			if err != nil {
				return err
			}
			return a.printVerify(report, allowQuarantined)
		},
	}
	f := c.Flags()
	f.StringVar(&req.Sink, "sink", "", "compare this sink only")
	f.StringVar(&req.View, "view", "", "compare this view only")
	f.StringVar(&req.Keys, "keys", "", "compare keys `A..B` only, both included")
	f.IntVar(&req.MaxRowsPerSecond, "max-rows-per-second", 0, "read no more rows a second than this (default: no limit)")
	f.BoolVar(&allowQuarantined, "allow-quarantined", false, "rows in quarantine do not make the answer no")
	return c
}

func (a *app) printVerify(r admin.VerifyReport, allowQuarantined bool) error {
	if a.json {
		if err := a.printJSON(r); err != nil {
			return err
		}
	} else {
		if len(r.Results) == 0 {
			a.say("there is nothing to compare: no sink delivers a view")
		}
		for _, v := range r.Results {
			a.printVerified(v)
		}
	}
	return verifyStatus(r, allowQuarantined)
}

// verifyStatus is the answer: different beats unsettled, which beats quarantined.
func verifyStatus(r admin.VerifyReport, allowQuarantined bool) error {
	different, unsettled, quarantined := false, len(r.Results) == 0, false
	for _, v := range r.Results {
		different = different || v.Different > 0
		unsettled = unsettled || v.Unsettled > 0 || v.Error != ""
		quarantined = quarantined || v.Quarantined > 0
	}
	switch {
	case different:
		return answerNo()
	case unsettled:
		return couldNotTell()
	case quarantined && !allowQuarantined:
		return answerNo()
	}
	return nil
}

func (a *app) printVerified(v admin.VerifyResult) {
	name := v.Sink + "/" + v.View
	switch {
	case v.Error != "":
		a.say("%s: %s", name, a.paint(red, "could not be compared"))
		a.trouble(v.Trouble)
	case v.Different > 0:
		a.say("%s: %s: %d of %d rows, %d unsettled", name, a.paint(red, "DIFFERENT"), v.Different, v.Rows, v.Unsettled)
	case v.Unsettled > 0:
		a.say("%s: %s: %d of %d rows never held still", name, a.paint(yellow, "unsettled"), v.Unsettled, v.Rows)
	default:
		a.say("%s: %s: %d rows, digest %s, at %s (seq %d), %s", name, a.paint(green, "equal"), v.Rows, v.Digest, orNone(v.Position), v.Seq, seconds(v.Seconds))
	}
	if v.Quarantined > 0 {
		a.say("    quarantined: %d", v.Quarantined)
	}
	for _, d := range v.Differences {
		what := ""
		if d.Unsettled {
			what = " (unsettled)"
		}
		a.say("    key %s%s", d.Key, what)
		a.say("        source: %s", valuesOf(v.Columns, d.Source))
		a.say("        %s: %s", v.Sink, valuesOf(v.Columns, d.Sink))
	}
	if n := v.Different + v.Unsettled; n > uint64(len(v.Differences)) {
		a.say("    and %d more", n-uint64(len(v.Differences)))
	}
}

func valuesOf(columns, values []string) string {
	if len(values) == 0 {
		return "(no such row)"
	}
	parts := make([]string, len(values))
	for i, v := range values {
		if i < len(columns) {
			v = columns[i] + "=" + v
		}
		parts[i] = v
	}
	return strings.Join(parts, "  ")
}
