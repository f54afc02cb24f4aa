package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/etlsandbox/cdc/internal/admin"
)

// replayed is what tells how a replay went.
type replayed interface {
	Status(ctx context.Context) (admin.Status, error)
	DeadLetters(ctx context.Context, sink string) ([]admin.DeadLetter, error)
}

// refusedAgain waits until the sinks have passed what the streams hold now, which carries the rows of a replay,
// and returns those of the rows that are listed then, as they are listed.
func refusedAgain(ctx context.Context, d replayed, rows []admin.DeadLetter, every time.Duration) ([]admin.DeadLetter, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	first, err := d.Status(ctx)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		st, err := d.Status(ctx)
		if err != nil {
			return nil, err
		}
		there, err := passed(first, st, rows)
		if err != nil {
			return nil, err
		}
		if there {
			break
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the sinks to take the rows, which are on their way: %w", ctx.Err())
		case <-tick.C:
		}
	}
	listed, err := d.DeadLetters(ctx, "")
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(listed, func(l admin.DeadLetter) bool {
		return !slices.ContainsFunc(rows, l.SameRow)
	}), nil
}

// passed reports whether each row's sink has all that the row's stream had at first. A sink's lag is that of the
// stream where it lacks most, so it may have got there a little earlier.
func passed(first, now admin.Status, rows []admin.DeadLetter) (bool, error) {
	newest := func(st admin.Status, stream string) uint64 {
		for _, s := range st.Streams {
			if s.Name == stream {
				return s.Seq
			}
		}
		return 0
	}
	for _, r := range rows {
		i := slices.IndexFunc(now.Sinks, func(s admin.Sink) bool { return s.Name == r.Sink })
		if i < 0 {
			return false, fmt.Errorf("sink %s is gone: its rows were not taken (cdc status lists the sinks)", r.Sink)
		}
		sink := now.Sinks[i]
		switch sink.State {
		case "paused", "stopped", "disabled":
			return false, fmt.Errorf("sink %s is %s: its rows are on their way, and not taken yet (cdc status tells more)", r.Sink, sink.State)
		}
		if sink.LagUnknown || newest(now, r.Stream)-min(sink.LagTransactions, newest(now, r.Stream)) < newest(first, r.Stream) {
			return false, nil
		}
	}
	return true, nil
}
