package admin

import (
	"context"
	"net/http"
	"net/url"

	"github.com/danielgtaylor/huma/v2"
)

// SinkOperator acts on the delivery of a running daemon.
type SinkOperator interface {
	// PauseSink pauses or resumes one sink, and returns how it is then.
	PauseSink(ctx context.Context, name string, paused bool) (Sink, error)
	// DropSink ends a sink and says what remains at its destination; purge deletes that.
	DropSink(ctx context.Context, name string, purge bool) (DropReport, error)
	// Pause pauses or resumes capture, join and delivery as a whole.
	Pause(ctx context.Context, paused bool) error
}

// DropReport says what a dropped sink has left at its destination.
type DropReport struct {
	Sink string `json:"sink"`
	// Remains names tables and views, as the destination spells them.
	Remains []string `json:"remains" doc:"what is still there"`
	Purged  []string `json:"purged" doc:"what was deleted"`
	// Configured: the configuration still names the sink.
	Configured bool `json:"configured" doc:"the configuration still names it"`
}

type sinkInput struct {
	Name  string `path:"name"`
	Purge bool   `query:"purge" doc:"delete what the sink made at its destination"`
}

func (s *Server) registerSinks(api huma.API) {
	if s.Sinks == nil {
		return
	}
	pause := func(paused bool) func(context.Context, *sinkInput) (*answer[Sink], error) {
		return func(ctx context.Context, in *sinkInput) (*answer[Sink], error) {
			k, err := s.Sinks.PauseSink(ctx, in.Name, paused)
			if err != nil {
				return nil, problemOf(err)
			}
			k.Covers = some(k.Covers)
			return &answer[Sink]{k}, nil
		}
	}
	all := func(paused bool) func(context.Context, *nothing) (*answer[PauseReport], error) {
		return func(ctx context.Context, _ *nothing) (*answer[PauseReport], error) {
			if err := s.Sinks.Pause(ctx, paused); err != nil {
				return nil, problemOf(err)
			}
			return &answer[PauseReport]{PauseReport{paused}}, nil
		}
	}
	post(api, "/api/v1/sinks/{name}/pause", "Pause a sink", pause(true))
	post(api, "/api/v1/sinks/{name}/resume", "Resume a sink", pause(false))
	post(api, "/api/v1/pause", "Pause the whole daemon", all(true))
	post(api, "/api/v1/resume", "Resume the whole daemon", all(false))
	huma.Register(api, operation(http.MethodDelete, "/api/v1/sinks/{name}", "End a sink and say what remains of it"),
		func(ctx context.Context, in *sinkInput) (*answer[DropReport], error) {
			r, err := s.Sinks.DropSink(ctx, in.Name, in.Purge)
			if err != nil {
				return nil, problemOf(err)
			}
			r.Remains, r.Purged = some(r.Remains), some(r.Purged)
			return &answer[DropReport]{r}, nil
		})
}

// PauseReport says whether the daemon is paused.
type PauseReport struct {
	Paused bool `json:"paused"`
}

// PauseSink pauses or resumes a sink.
func (c *Client) PauseSink(ctx context.Context, name string, paused bool) (Sink, error) {
	return fetch[Sink](ctx, c, http.MethodPost, "/api/v1/sinks/"+url.PathEscape(name)+"/"+verb(paused), nil)
}

// DropSink ends a sink.
func (c *Client) DropSink(ctx context.Context, name string, purge bool) (DropReport, error) {
	q := ""
	if purge {
		q = "?purge=true"
	}
	return fetch[DropReport](ctx, c, http.MethodDelete, "/api/v1/sinks/"+url.PathEscape(name)+q, nil)
}

// Pause pauses or resumes the daemon as a whole.
func (c *Client) Pause(ctx context.Context, paused bool) (PauseReport, error) {
	return fetch[PauseReport](ctx, c, http.MethodPost, "/api/v1/"+verb(paused), nil)
}

func verb(paused bool) string {
	if paused {
		return "pause"
	}
	return "resume"
}
