package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/etlsandbox/cdc/sinks"
)

// watchEvery is how often a server that works on something is asked whether it is still there.
const watchEvery = 5 * time.Second

// errNoAnswer ends what waits for a server that answers nobody.
var errNoAnswer = errors.New("the server accepts connections and answers nothing")

// watched runs f, which waits for the server. How long a statement takes says nothing: the end of a cover may
// move millions of rows. So the server is asked over a second connection, and when it does not answer that
// within ConnectTimeout either, f's context ends and the error is one to try again after.
func (s *Sink) watched(ctx context.Context, doing string, f func(ctx context.Context) error) error {
	inner, stop := context.WithCancelCause(ctx)
	var work sync.WaitGroup
	work.Go(func() { s.watch(inner, stop) })
	err := f(inner)
	gone := errors.Is(context.Cause(inner), errNoAnswer)
	stop(nil)
	work.Wait()
	if err != nil && gone && ctx.Err() == nil {
		s.drop()
		// Without err: it says that a context ended, which is what a stop of the daemon looks like.
		return &sinks.RetryError{Reason: "no_answer", Err: fmt.Errorf("%s: %s:%d: %w", doing, s.cfg.Host, s.cfg.Port, errNoAnswer)}
	}
	return err
}

func (s *Sink) watch(ctx context.Context, stop context.CancelCauseFunc) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.ask(ctx); err != nil && ctx.Err() == nil {
			stop(errNoAnswer)
			return
		}
	}
}

// ask asks the server for anything over a connection of its own. A refusal is an answer.
func (s *Sink) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ConnectTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, s.pc.Copy())
	if err == nil {
		err = conn.Ping(ctx)
		//nolint:errcheck // it was made for this question alone
		conn.Close(ctx)
	}
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return nil
	}
	return err
}
