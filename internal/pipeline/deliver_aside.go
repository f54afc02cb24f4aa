package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
	"github.com/etlsandbox/cdc/sinks"
)

// refused is a target that the destination cannot be given as it is now.
type refused struct {
	target sinks.Target
	why    error
}

// prepare has the destination make its tables. A target that an operator must mend is put aside, so that the others
// are delivered: what is not among the targets waits at the destination, and needs a cover when it comes back. Only
// when none is left is that an error.
func (d *Deliver) prepare(ctx context.Context) error {
	for {
		err := d.d.Sink.Prepare(ctx, d.cfg.Stream, d.targets)
		if err == nil {
			return nil
		}
		if err := d.putAside(err); err != nil {
			return err
		}
	}
}

// give has the destination apply a batch. A target whose new shape it refuses is put aside, and the batch given
// without it.
func (d *Deliver) give(ctx context.Context, b *change.Batch) error {
	for {
		checked := d.cfg.Checked(b)
		if checked != b {
			checked.Encoded = nil
		}
		err := d.d.Sink.Apply(ctx, checked)
		if err == nil {
			return nil
		}
		if err := d.putAside(err); err != nil {
			return err
		}
		if err := d.prepare(ctx); err != nil {
			return err
		}
		d.behind = true // until the boundaries are asked for
	}
}

// putAside takes the target that an error concerns from the targets. It returns the error when it concerns more than
// one target, or the last one.
func (d *Deliver) putAside(err error) error {
	i := slices.IndexFunc(d.targets, func(t sinks.Target) bool { return t.From == sinks.TargetOf(err) })
	if i < 0 {
		return err
	}
	if len(d.targets) == 1 {
		var all []error
		for _, name := range slices.Sorted(maps.Keys(d.aside)) {
			all = append(all, d.aside[name].why)
		}
		if all = append(all, err); len(all) == 1 {
			return err
		}
		return fmt.Errorf("each of %d tables and views of stream %s is refused: %w", len(all), d.cfg.Stream, errors.Join(all...))
	}
	t := d.targets[i]
	d.targets = slices.Delete(d.targets, i, i+1)
	d.aside[t.From] = refused{t, err}
	d.tellAside()
	return nil
}

func (d *Deliver) tellAside() {
	why := map[string]error{}
	for name, r := range d.aside {
		why[name] = r.why
	}
	d.cfg.Aside(why)
}

// follow makes tables that a record announces targets, before the record is applied: they pass over what
// comes until the cover that names them, which may be this very record. So do targets that were put aside, when a
// cover begins that fills them: somebody may have mended what was wrong.
func (d *Deliver) follow(ctx context.Context, p *wire.Progress) error {
	more := d.takeBack(p)
	if d.cfg.Follow != nil {
		for _, t := range p.Tables {
			name := t.ID.String()
			if _, aside := d.aside[name]; aside || slices.ContainsFunc(d.targets, func(o sinks.Target) bool { return o.From == name }) {
				continue
			}
			if target, ok := d.cfg.Follow(t); ok {
				d.targets, more = append(d.targets, target), true
			}
		}
	}
	if !more {
		return nil
	}
	// What is applied already must be durable under the old right to write before it is taken anew: a process
	// that was fenced meanwhile finds out here, and does not take it back.
	if d.quiet != nil {
		if err := d.put(ctx, d.quiet); err != nil {
			return err
		}
	}
	if err := d.prepare(ctx); err != nil {
		return err
	}
	_, err := d.boundaries(ctx)
	return err
}

// takeBack makes targets again of those put aside which a cover fills that begins here, in the shapes of now.
func (d *Deliver) takeBack(p *wire.Progress) (more bool) {
	if len(d.aside) == 0 || p.Kind != change.Begin || !p.Cover.IsFor(d.cfg.Sink) || p.Cover.Range != change.WholeTable() {
		return false
	}
	for _, name := range slices.Sorted(maps.Keys(d.aside)) {
		if !p.Cover.Names(name) {
			continue
		}
		t := d.aside[name].target
		if v := d.shapes.versions[name]; v != nil && v.Table != nil {
			t.Table = v.Table
		}
		if i := slices.IndexFunc(p.Tables, func(o *change.Table) bool { return o.ID.String() == name }); i >= 0 {
			t.Table = p.Tables[i]
		}
		delete(d.aside, name)
		d.targets, more = append(d.targets, t), true
	}
	if more {
		d.tellAside()
	}
	return more
}
