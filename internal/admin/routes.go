package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// answer is a JSON body on its way out.
type answer[T any] struct{ Body T }

// asked is a JSON body on its way in.
type asked[T any] struct{ Body T }

type nothing struct{}

// register adds the typed part of the API, and its description.
func (s *Server) register(mux *http.ServeMux) {
	c := huma.DefaultConfig("cdc", s.Version)
	c.Info.Description = "Status and control of a running daemon."
	c.CreateHooks, c.DocsPath, c.SchemasPath = nil, "", ""
	api := humago.New(mux, c)

	part(s, api, "/api/v1/status", "How the daemon is", func(st Status) Status { return st })
	part(s, api, "/api/v1/streams", "Streams on the broker", func(st Status) []Stream { return st.Streams })
	part(s, api, "/api/v1/tables", "Captured tables", func(st Status) []Table { return st.Tables })
	part(s, api, "/api/v1/views", "Joined views", func(st Status) []View { return st.Views })
	part(s, api, "/api/v1/sinks", "Destinations", func(st Status) []Sink { return st.Sinks })
	part(s, api, "/api/v1/snapshots", "Reads of whole tables: first loads, heals and rebuilds",
		func(st Status) []Cover { return coversOf(st, false) })
	part(s, api, "/api/v1/resyncs", "Resyncs that run, and those that ended lately",
		func(st Status) []Cover { return coversOf(st, true) })

	get(api, "/readyz", "Whether every enabled stage runs and the source is followed", s.ready)
	get(api, "/api/v1/config", "The effective settings, secrets hidden", s.config)
	get(api, "/api/v1/wait", "Wait until sinks show the source's position of now", s.wait)
	post(api, "/api/v1/reload", "Read the configuration again and apply what is live", s.reload)
	post(api, "/api/v1/resyncs", "Make equal again what is downstream", s.resync)
	s.registerSinks(api)
	s.registerDeadLetters(api)
	s.registerVerify(api)
}

func operation(method, path, summary string) huma.Operation {
	return huma.Operation{
		OperationID: method + path, Method: method, Path: path, Summary: summary,
		MaxBodyBytes: maxBodyBytes, BodyReadTimeout: -1, // see bounded
	}
}

func get[I, O any](api huma.API, path, summary string, h func(context.Context, *I) (*O, error)) {
	huma.Register(api, operation(http.MethodGet, path, summary), h)
}

func post[I, O any](api huma.API, path, summary string, h func(context.Context, *I) (*O, error)) {
	huma.Register(api, operation(http.MethodPost, path, summary), h)
}

// part serves a part of the status.
func part[T any](s *Server, api huma.API, path, summary string, of func(Status) T) {
	get(api, path, summary, func(ctx context.Context, _ *nothing) (*answer[T], error) {
		st, err := s.status(ctx)
		if err != nil {
			return nil, problemOf(err)
		}
		return &answer[T]{of(st)}, nil
	})
}

// status returns lists that are empty rather than null, which clients would have to tell apart.
func (s *Server) status(ctx context.Context) (Status, error) {
	st, err := s.Reporter.Status(ctx)
	st.Streams, st.Stages, st.Tables = some(st.Streams), some(st.Stages), some(st.Tables)
	st.Views, st.Sinks, st.Covers = some(st.Views), some(st.Sinks), some(st.Covers)
	for i := range st.Sinks {
		st.Sinks[i].Covers = some(st.Sinks[i].Covers)
	}
	for i := range st.Views {
		st.Views[i].Key = some(st.Views[i].Key)
	}
	return st, err
}

func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func coversOf(st Status, resyncs bool) []Cover {
	out := []Cover{}
	for _, c := range st.Covers {
		if (c.Kind == "resync") == resyncs {
			out = append(out, c)
		}
	}
	return out
}

// readiness is the answer of /readyz.
type readiness struct {
	Status int `json:"-"`
	Body   struct {
		Ready    bool     `json:"ready"`
		NotReady []string `json:"not_ready"`
	}
}

func (s *Server) ready(ctx context.Context, _ *nothing) (*readiness, error) {
	st, err := s.status(ctx)
	if err != nil {
		return nil, &Problem{Status: http.StatusServiceUnavailable, Title: "not ready", Detail: err.Error()}
	}
	r := &readiness{Status: http.StatusOK}
	r.Body.Ready, r.Body.NotReady = st.Ready, some(st.NotReady)
	if !st.Ready {
		r.Status = http.StatusServiceUnavailable
	}
	return r, nil
}

func (s *Server) config(ctx context.Context, _ *nothing) (*answer[json.RawMessage], error) {
	b, err := s.Reporter.Config(ctx)
	if err != nil {
		return nil, problemOf(err)
	}
	return &answer[json.RawMessage]{b}, nil
}

func (s *Server) reload(ctx context.Context, _ *nothing) (*answer[ReloadReport], error) {
	r, err := s.Operator.Reload(ctx)
	if err != nil {
		return nil, problemOf(err)
	}
	r.Applied, r.Restart, r.Refused = some(r.Applied), some(r.Restart), some(r.Refused)
	return &answer[ReloadReport]{r}, nil
}

// waitInput is the query of a wait.
type waitInput struct {
	Sink    string `query:"sink" doc:"one sink; empty: every enabled one"`
	Timeout string `query:"timeout" doc:"give up after this long, such as 30s; empty: never"`
}

func (s *Server) wait(ctx context.Context, in *waitInput) (*answer[WaitReport], error) {
	if in.Timeout != "" {
		d, err := time.ParseDuration(in.Timeout)
		if err != nil || d <= 0 {
			return nil, Invalid("timeout "+in.Timeout+" is not a duration", "write 30s or 5m")
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	r, err := s.Operator.Wait(ctx, WaitRequest{Sink: in.Sink})
	if err != nil {
		return nil, problemOf(err)
	}
	r.Sinks = some(r.Sinks)
	return &answer[WaitReport]{r}, nil
}

func (s *Server) resync(ctx context.Context, in *asked[ResyncRequest]) (*answer[ResyncReport], error) {
	if err := in.Body.Validate(); err != nil {
		return nil, err
	}
	r, err := s.Operator.Resync(ctx, in.Body)
	if err != nil {
		return nil, problemOf(err)
	}
	r.Covers = some(r.Covers)
	return &answer[ResyncReport]{r}, nil
}

// Validate reports a request that names nothing, or more than one thing.
func (r ResyncRequest) Validate() error {
	n := 0
	for _, set := range []bool{len(r.Tables) > 0, r.View != "" || r.Sink != "", r.All} {
		if set {
			n++
		}
	}
	switch {
	case n == 0:
		return Invalid("nothing to resync", "name tables, --view, --sink or --all")
	case n > 1:
		return Invalid("tables, --view or --sink, and --all exclude each other", "name one of them")
	case r.Keys != "" && len(r.Tables) != 1 && r.View == "":
		return Invalid("--keys belongs to one table or view", "name one table, or --view")
	}
	return nil
}

// registerVerify adds the verification, whose answer is one JSON object a line while it runs, so that a
// caller sees how far it is and ends it by going away.
func (s *Server) registerVerify(api huma.API) {
	op := operation(http.MethodPost, "/api/v1/verifications", "Compare destinations with the source's own answer")
	event := huma.SchemaFromType(api.OpenAPI().Components.Schemas, reflect.TypeFor[VerifyEvent]())
	op.Responses = map[string]*huma.Response{"200": {
		Description: "Lines of JSON: progress, then the report or a problem",
		Content:     map[string]*huma.MediaType{"application/x-ndjson": {Schema: event}},
	}}
	huma.Register(api, op, func(_ context.Context, in *asked[VerifyRequest]) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(hc huma.Context) { s.verify(hc, in.Body) }}, nil
	})
}

func (s *Server) verify(hc huma.Context, req VerifyRequest) {
	hc.SetHeader("Content-Type", "application/x-ndjson")
	w := hc.BodyWriter()
	var mu sync.Mutex
	send := func(e VerifyEvent) {
		mu.Lock()
		defer mu.Unlock()
		// A caller that has gone away ends the request's context, which ends the verification.
		if json.NewEncoder(w).Encode(e) == nil {
			if f, ok := w.(http.Flusher); ok {
				f.Flush()
			}
		}
	}
	ctx := hc.Context()
	if req.TimeoutSeconds > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(req.TimeoutSeconds*float64(time.Second)))
		defer cancel()
	}
	r, err := s.Operator.Verify(ctx, req, func(p VerifyProgress) { send(VerifyEvent{Progress: &p}) })
	if err != nil {
		send(VerifyEvent{Problem: problemOf(err)})
		return
	}
	r.Results = some(r.Results)
	send(VerifyEvent{Report: &r})
}
