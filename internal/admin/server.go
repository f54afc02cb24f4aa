package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

// Reporter tells how the daemon is.
type Reporter interface {
	// Status must answer at once, whatever the daemon waits for.
	Status(ctx context.Context) (Status, error)
	// Config returns the effective settings as JSON, secrets hidden.
	Config(ctx context.Context) ([]byte, error)
}

// Operator does what commands ask of a running daemon. An error that is a *Problem (see NotFound, Refused,
// Invalid) reaches the caller as it is.
type Operator interface {
	// Reload reads the configuration again and applies what is live, or nothing.
	Reload(ctx context.Context) (ReloadReport, error)
	// Resync returns when the covers have begun; they go on whatever becomes of the caller.
	Resync(ctx context.Context, r ResyncRequest) (ResyncReport, error)
	// Verify returns when everything is compared. progress may be called from several goroutines, and not
	// after Verify has returned.
	Verify(ctx context.Context, r VerifyRequest, progress func(VerifyProgress)) (VerifyReport, error)
	// Wait returns when the sinks show the source's position of now.
	Wait(ctx context.Context, r WaitRequest) (WaitReport, error)
}

// Server serves the API. All fields but Log are required.
type Server struct {
	Version  string
	Reporter Reporter
	Operator Operator
	// Sinks and DeadLetters act on the delivery; nil leaves those calls out.
	Sinks       SinkOperator
	DeadLetters DeadLetterOperator
	Metrics     http.Handler
	Log         *slog.Logger
}

// Limits of the server: no client can hold it with slow or large requests.
const (
	headerTimeout   = 5 * time.Second
	bodyTimeout     = 10 * time.Second
	answerTimeout   = 30 * time.Second
	idleTimeout     = 2 * time.Minute
	maxHeaderBytes  = 16 << 10
	maxBodyBytes    = 64 << 10
	shutdownTimeout = 5 * time.Second
)

// Run serves on all listeners until the context ends, then lets running calls end for a moment. It closes
// the listeners. Calls see their context end when Run's does.
func (s *Server) Run(ctx context.Context, listeners ...net.Listener) error {
	h, err := s.Handler()
	if err != nil {
		return err
	}
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, ReadTimeout: headerTimeout + bodyTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes, BaseContext: func(net.Listener) context.Context { return ctx },
	}
	if s.Log != nil {
		srv.ErrorLog = slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug)
	}
	g, gctx := errgroup.WithContext(ctx)
	for _, l := range listeners {
		g.Go(func() error {
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve the API at %s: %w", l.Addr(), err)
			}
			return nil
		})
	}
	g.Go(func() error {
		<-gctx.Done()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if err := srv.Shutdown(stop); err != nil {
			return errors.Join(srv.Close(), fmt.Errorf("stop the API: %w", err))
		}
		return nil
	})
	return g.Wait()
}

// Handler returns the API without a server around it.
func (s *Server) Handler() (http.Handler, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "ok\n") // who has left needs no answer
	})
	mux.Handle("GET /metrics", s.Metrics)
	s.register(mux)
	// A page in the user's browser must not command a daemon that listens on loopback.
	return bounded(http.NewCrossOriginProtection().Handler(mux)), nil
}

// bounded reads a request's whole body within the read timeout, and then lifts that timeout: left in place
// it would cut calls that run for long (net/http ends a request's context when its connection's read
// deadline passes). Short calls get a deadline for their answer.
func bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
		if err != nil {
			http.Error(w, fmt.Sprintf("read the request: %v", err), http.StatusRequestEntityTooLarge)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		rc := http.NewResponseController(w)
		// Errors mean that the connection knows no deadlines, as a test's recorder: there is nothing to lift.
		_ = rc.SetReadDeadline(time.Time{})
		if !runsLong(r) {
			_ = rc.SetWriteDeadline(time.Now().Add(answerTimeout))
		}
		next.ServeHTTP(w, r)
	})
}

func runsLong(r *http.Request) bool {
	switch r.URL.Path {
	case "/api/v1/wait", "/api/v1/verifications", "/api/v1/resyncs":
		return true
	}
	return false
}
