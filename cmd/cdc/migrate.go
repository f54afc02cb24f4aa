package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	capture "github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/internal/config"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/view"
	"github.com/etlsandbox/cdc/sinks/migrate"
)

func (a *app) migrateCommand() *cobra.Command {
	return section("migrate", "Make and change tables at the destinations, for a step before the deploy", "  cdc migrate plan\n  cdc migrate apply --sink mars",
		a.migratePlan(), a.migrateApply(), a.migrateStatus())
}

// migration is one sink in the JSON of plan, apply and status.
type migration struct {
	Sink string `json:"sink"`
	// Statements are those that are yet to be applied, Applied those that were.
	Statements []string          `json:"statements,omitempty"`
	Applied    []migrate.Applied `json:"applied,omitempty"`
	Error      string            `json:"error,omitempty"`
}

func (a *app) migratePlan() *cobra.Command {
	var sink string
	c := &cobra.Command{
		Use:   "plan",
		Short: "Print the statements that the destinations need",
		Long: `Print the statements that make, or bring up to date, the tables that the sinks deliver to, and the sinks' own. The views
are compiled against the tables of the configured source; the destinations' catalogs are read. Nothing is changed, and a
running daemon is not disturbed.

Exit status 0 when nothing is missing, 1 when there is something to apply, 2 when it could not be told.`,
		Example: "  cdc migrate plan\n  cdc migrate plan --sink mars",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := a.bounded(cmd.Context())
			defer cancel()
			something := false
			err := a.eachMigration(ctx, sink, true, func(ctx context.Context, m *migration, t migrated) error {
				var err error
				m.Statements, err = t.plan(ctx)
				something = something || len(m.Statements) > 0
				return err
			})
			if err == nil && something {
				return answerNo()
			}
			return err
		},
	}
	c.Flags().StringVar(&sink, "sink", "", "this sink only")
	return c
}

func (a *app) migrateApply() *cobra.Command {
	var sink string
	c := &cobra.Command{
		Use:   "apply",
		Short: "Run the statements that the destinations need",
		Long: `Run what ` + "`cdc migrate plan`" + ` prints, each statement as a version that is written down in the destination's table
cdc_migrations: in PostgreSQL and SQL Server in one transaction with it. What is done already is not done again; of two at
once one waits for the other. After it a daemon with schema_changes: strict starts.`,
		Example: "  cdc migrate apply\n  cdc migrate apply --sink mars --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := a.bounded(cmd.Context())
			defer cancel()
			return a.eachMigration(ctx, sink, true, func(ctx context.Context, m *migration, t migrated) error {
				return t.open(func(d *migrate.Database) error {
					var err error
					m.Applied, err = migrate.Apply(ctx, d, t.plan)
					return err
				})
			})
		},
	}
	c.Flags().StringVar(&sink, "sink", "", "this sink only")
	return c
}

func (a *app) migrateStatus() *cobra.Command {
	var sink string
	c := &cobra.Command{
		Use:     "status",
		Short:   "List the statements that were applied",
		Long:    "List what `cdc migrate apply` has applied at the destinations, the newest first. Neither the source nor a daemon is asked.",
		Example: "  cdc migrate status\n  cdc migrate status --sink mars --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := a.brief(cmd.Context())
			defer cancel()
			return a.eachMigration(ctx, sink, false, func(ctx context.Context, m *migration, t migrated) error {
				return t.open(func(d *migrate.Database) error {
					var err error
					m.Applied, err = migrate.Status(ctx, d)
					return err
				})
			})
		},
	}
	c.Flags().StringVar(&sink, "sink", "", "this sink only")
	return c
}

// migrated is a sink whose destination is looked at.
type migrated struct {
	name string
	cfg  config.Sink
	driver
	// deliveries are what it gets of each stream.
	deliveries []delivered
}

// plan computes what the destination needs. What both streams of a sink need is needed once.
func (t migrated) plan(ctx context.Context) ([]string, error) {
	var all []string
	for _, d := range t.deliveries {
		targets, err := allSpelled(&t.cfg, d.targets)
		if err != nil {
			return nil, err
		}
		texts, err := t.driver.plan(ctx, t.name, &t.cfg, d.stream, targets)
		if err != nil {
			return nil, err
		}
		for _, text := range texts {
			if !slices.Contains(all, text) {
				all = append(all, text)
			}
		}
	}
	return all, nil
}

// open calls f with the destination's table of versions.
func (t migrated) open(f func(*migrate.Database) error) error {
	d, err := t.migrations(t.name, &t.cfg)
	if err != nil {
		return err
	}
	return errors.Join(f(d), d.DB.Close())
}

// eachMigration calls f for the named sink, or for every enabled one, and prints what it finds. A sink that fails does
// not keep the others from it.
func (a *app) eachMigration(ctx context.Context, only string, planning bool, f func(context.Context, *migration, migrated) error) error {
	c, err := a.loadConfig()
	if err != nil {
		return err
	}
	names, err := chosenSinks(c, only)
	if err != nil {
		return err
	}
	deliveries := map[string][]delivered{}
	if planning {
		if deliveries, err = a.deliveriesOf(ctx, c, names); err != nil {
			return err
		}
	}
	var errs []error
	list := []migration{}
	for _, name := range names {
		t := migrated{name: name, cfg: c.Sinks[name], deliveries: deliveries[name]}
		if t.driver, err = driverOf(t.cfg.Type); err != nil {
			return fmt.Errorf("sinks.%s: %w", name, err)
		}
		m := migration{Sink: name}
		if err := f(ctx, &m, t); err != nil {
			m.Error = err.Error()
			errs = append(errs, err)
		}
		if list = append(list, m); !a.json {
			a.printMigration(m)
		}
	}
	if a.json {
		errs = append(errs, a.printJSON(list))
	}
	return errors.Join(errs...)
}

func (a *app) printMigration(m migration) {
	for _, s := range m.Statements {
		a.say("-- sink %s\n%s;\n", m.Sink, strings.TrimSuffix(s, ";"))
	}
	for _, v := range m.Applied {
		a.say("-- sink %s, version %d, applied at %s\n%s;\n", m.Sink, v.Version, v.At.Format("2006-01-02 15:04:05Z"), strings.TrimSuffix(v.Statement, ";"))
	}
	if len(m.Statements)+len(m.Applied) == 0 && m.Error == "" {
		a.say("-- sink %s: nothing", m.Sink)
	}
}

// chosenSinks are the enabled sinks, or the named one.
func chosenSinks(c *config.Config, only string) ([]string, error) {
	var names []string
	for _, name := range sortedNames(c.Sinks) {
		if name == only || only == "" && c.Sinks[name].Enabled {
			names = append(names, name)
		}
	}
	if only != "" && len(names) == 0 {
		return nil, fmt.Errorf("there is no sink %q: the configuration has %s", only, orNone(strings.Join(sortedNames(c.Sinks), ", ")))
	}
	return names, nil
}

// deliveriesOf says what sinks get, as the daemon will find it when it starts.
func (a *app) deliveriesOf(ctx context.Context, c *config.Config, names []string) (map[string][]delivered, error) {
	var plans []*view.Plan
	var shapes []*change.Table
	wants := func(raw bool) bool {
		return slices.ContainsFunc(names, func(n string) bool {
			return slices.ContainsFunc(c.Sinks[n].Deliver, func(d config.Deliver) bool { return (d.From.View == "") == raw })
		})
	}
	if wants(false) {
		files, err := viewFiles(c)
		if err != nil {
			return nil, err
		}
		views, err := a.deps.compile(ctx, c, files)
		if err != nil {
			return nil, err
		}
		for _, v := range views {
			if v.Err != nil {
				return nil, v.Err
			}
			plans = append(plans, v.Plan)
		}
	}
	if wants(true) {
		var err error
		if shapes, err = a.deps.tables(ctx, c); err != nil {
			return nil, err
		}
	}
	out := map[string][]delivered{}
	for _, name := range names {
		s := c.Sinks[name]
		views, err := viewTargets(name, &s, plans)
		if err != nil {
			return nil, err
		}
		raw := delivered{stream: c.Name}
		for _, t := range shapes {
			if target, ok := tableTarget(&s, t); ok {
				raw.targets = append(raw.targets, target)
			}
		}
		if err := distinct(name, &s, append(slices.Clone(views), raw.targets...)); err != nil {
			return nil, err
		}
		all := []delivered{{stream: (&service{cfg: c}).viewStream(), targets: views}, raw}
		out[name] = slices.DeleteFunc(all, func(d delivered) bool { return len(d.targets) == 0 })
	}
	return out, nil
}

// captured are the tables that the source lets be captured.
func captured(ctx context.Context, c *config.Config) ([]*change.Table, error) {
	sc, err := sourceConfig(&c.Source)
	if err != nil {
		return nil, err
	}
	src, err := capture.Open(ctx, sc)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	tables, err := src.Tables(ctx, sourceFilter(&c.Source))
	if err != nil && !errors.Is(err, capture.ErrUnsupported) {
		return nil, err
	}
	return tables, nil
}
