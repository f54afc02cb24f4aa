package pipeline

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/schemas/change"
)

// start checks both Marks and replays, "state only", what the view stream already holds.
func (j *Join) start(ctx context.Context) error {
	// Asking begins here: a begin that capture writes while this stage starts answers already.
	since, err := j.newIn(change.Mark{}).EndOffset(ctx)
	if err != nil {
		return err
	}
	st, err := j.w.Start(ctx)
	if err != nil {
		return err
	}
	j.ledger, j.waiting, j.begins = newLedger(st.Meta.Covers), nil, nil
	j.at, j.fixed = j.state.Meta(), nil
	why, err := j.unusable(ctx, st)
	if err != nil {
		return err
	}
	if why != "" {
		begun, err := j.underWay(ctx, st)
		if err != nil {
			return err
		}
		if begun > 0 {
			return j.rebuild(ctx, why, Ask{Floor: begun - 1})
		}
		if st.Fresh { // a start as any other
			why = ""
		}
		return j.rebuild(ctx, why, Ask{Since: since})
	}
	if err := j.openInput(ctx, j.at.In); err != nil {
		return err
	}
	switch err := j.replay(ctx, *st.Newest.Input); {
	case errors.Is(err, stream.ErrGone), errors.Is(err, errReplay), j.misfit(err):
		return j.rebuild(ctx, err.Error(), Ask{Since: since})
	case err != nil:
		return err
	}
	m := j.at
	m.Out = st.Mark
	if err := j.write(m, nil); err != nil {
		return err
	}
	j.cfg.Resumed(m.In, m.Out)
	return nil
}

var (
	errReplay   = errors.New("the state cannot be brought to where the view stream stands")
	errReshaped = errors.New("a table that the views read has another shape now")
)

// unusable says why the state cannot go on from where it stands; "" when it can.
func (j *Join) unusable(ctx context.Context, st *stream.State) (string, error) {
	switch {
	case st.Fresh:
		return "the view stream begins anew", nil
	case j.at.In.IsZero():
		return "the state is empty", nil
	case j.at.Layout != j.layout:
		return "the views read other tables or columns than the state holds", nil
	case st.Newest.Input == nil:
		return "the view stream's newest record names no input", nil
	case j.at.Out.Incarnation != 0 && (j.at.Out.Incarnation != st.Incarnation || j.at.Out.Offset > st.Mark.Offset):
		return "the state is ahead of the view stream, or of another incarnation", nil
	case j.at.In.Offset > st.Newest.Input.Offset || j.at.In.Incarnation != st.Newest.Input.Incarnation:
		return "the state is ahead of the view stream's input", nil
	}
	if j.at.Out.IsZero() {
		return "", nil
	}
	if _, err := j.newOut(j.at.Out).Peek(ctx); errors.Is(err, stream.ErrGone) {
		return err.Error(), nil
	} else if err != nil {
		return "", err
	}
	return "", nil
}

func (j *Join) openInput(ctx context.Context, at change.Mark) error {
	j.in = j.newIn(at)
	j.shapes = newShapes(j.cfg.Raw)
	m, err := j.meta(ctx)
	if err != nil {
		return err
	}
	j.shapes.load(m)
	return nil
}

// replay brings the state to the goal without output: the outputs are in the view stream already.
func (j *Join) replay(ctx context.Context, goal change.Mark) error {
	if j.cfg.Rules.off(noStateReplay) {
		return nil
	}
	for j.at.In.Offset < goal.Offset {
		rec, err := j.in.Next(ctx)
		if err != nil {
			return err
		}
		switch kept, err := j.reshape(rec.Progress); {
		case err != nil:
			return err
		case !kept:
			return errReplay
		}
		b, m, err := j.fold(ctx, []*stream.Record{rec}, []string{})
		if err != nil {
			return err
		}
		err = j.write(m, b)
		if err = errors.Join(err, b.close()); err != nil {
			return err
		}
		if err := j.cfg.Fail("join-replay"); err != nil {
			return err
		}
	}
	if j.at.In.ID != goal.ID {
		return errReplay
	}
	return nil
}

// underWay returns the Seq of the begin of a heal of all the joiner's tables that capture has not ended, if nothing
// was ever written to the view stream; 0 if there is none. Such a begin serves a state that knows nothing though it
// is older than the asking: what it leads to is shown at its end, which is still to come, and nobody holds anything
// newer. Without it a crash in the first moments of a first load would begin that load again.
func (j *Join) underWay(ctx context.Context, st *stream.State) (begun change.Seq, err error) {
	if !st.Empty() {
		return 0, nil
	}
	m, err := j.meta(ctx)
	if err != nil {
		return 0, err
	}
	for _, c := range m.Covers {
		switch {
		case !c.Cover.Heal, !c.Cover.IsFor(JoinReader), len(c.Paused) > 0:
		case slices.ContainsFunc(j.tableNames(), func(t string) bool { return !c.Cover.Names(t) }):
		default:
			begun = max(begun, c.Begun)
		}
	}
	return begun, nil
}

// rebuild starts over from a cover: it asks, as a says, until it sees a begin that serves it. That is one from
// behind the place where the progress topic ended when it began to ask, or one that is under way.
func (j *Join) rebuild(ctx context.Context, why string, a Ask) error {
	if j.cfg.Lost != nil && why != "" {
		j.cfg.Lost(why)
	}
	if err := j.state.Reset(j.engine.Tables()); err != nil {
		return err
	}
	j.at = JoinMeta{Covering: map[string]Covering{}, Layout: j.layout}
	a.Reader, a.Tables, a.Heal = JoinReader, j.tableNames(), true
	if err := j.openInput(ctx, change.Mark{}); err != nil {
		return err
	}
	b, err := await(ctx, j.in, j.asker, j.wake, a, j.cfg.AskEvery)
	if err != nil {
		return err
	}
	j.in.Adopt(b)
	return j.cfg.Fail("join-adopted")
}

// await asks again and again until a begin answers, and returns it.
func await(ctx context.Context, in *stream.Reader, asker Asker, wait func(context.Context, time.Duration) error, a Ask, every time.Duration) (*stream.Begin, error) {
	for {
		b, next, err := in.FindBegin(ctx, a.Since, a.Tables, a.Floor)
		if err != nil || b != nil {
			return b, err
		}
		// What lies before is not looked at again, even if the log was cut meanwhile and a begin is written
		// there: such a begin must not count as the answer.
		a.Since = next
		asker.Ask(a)
		if err := wait(ctx, every); err != nil {
			return nil, err
		}
	}
}
