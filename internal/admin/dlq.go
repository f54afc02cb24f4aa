package admin

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// DeadLetterOperator acts on rows that destinations refused.
type DeadLetterOperator interface {
	// DeadLetters lists what cdc_quarantine holds at one sink, or at all ("").
	DeadLetters(ctx context.Context, sink string) ([]DeadLetter, error)
	// DeadLetter is one of them, with its row.
	DeadLetter(ctx context.Context, id string) (DeadLetter, error)
	// ReplayDeadLetters gives the sinks the rows as they are now; a row that is still refused stays listed.
	ReplayDeadLetters(ctx context.Context, r DeadLetterRequest) (DeadLetterReport, error)
	// DropDeadLetters takes rows off the list; the destinations keep what they show.
	DropDeadLetters(ctx context.Context, r DeadLetterRequest) (DeadLetterReport, error)
}

// DeadLetter is a row that a destination refuses.
type DeadLetter struct {
	ID     string    `json:"id"`
	Sink   string    `json:"sink"`
	Stream string    `json:"stream"`
	Table  string    `json:"table" doc:"view, or database.table"`
	Key    string    `json:"key" doc:"values of the key, as JSON"`
	Seq    uint64    `json:"seq"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
	// Class and Row come from the topic of dead letters, which keeps them as long as broker.retention.
	Class string            `json:"class,omitempty" doc:"what was tried"`
	Row   []DeadLetterValue `json:"row,omitempty"`
}

// SameRow reports whether two entries are about one row of one sink, whatever its versions.
func (l DeadLetter) SameRow(o DeadLetter) bool {
	return l.Sink == o.Sink && l.Stream == o.Stream && l.Table == o.Table && l.Key == o.Key
}

// DeadLetterValue is one value of a refused row; null is NULL.
type DeadLetterValue struct {
	Column string  `json:"column"`
	Value  *string `json:"value"`
}

// DeadLetterRequest names rows: by id, all of a sink, or (both empty) all.
type DeadLetterRequest struct {
	Sink string   `json:"sink,omitempty"`
	IDs  []string `json:"ids,omitempty"`
}

// DeadLetterReport says what was done.
type DeadLetterReport struct {
	Done []DeadLetter `json:"done"`
	// Gone were not listed, or with a newer version, when it was their turn.
	Gone []string `json:"gone"`
	// Again are rows of Done as they are listed after a replay: the sinks refused them again. The daemon answers
	// before it knows; cdc dlq replay waits and fills them in.
	Again []DeadLetter `json:"refused_again,omitempty"`
	// Covers of a replay carry the rows.
	Covers []Cover `json:"covers"`
}

type deadLettersInput struct {
	Sink string `query:"sink"`
}

type deadLetterInput struct {
	ID string `path:"id"`
}

func (s *Server) registerDeadLetters(api huma.API) {
	if s.DeadLetters == nil {
		return
	}
	get(api, "/api/v1/dlq", "Rows that destinations refuse", func(ctx context.Context, in *deadLettersInput) (*answer[[]DeadLetter], error) {
		list, err := s.DeadLetters.DeadLetters(ctx, in.Sink)
		if err != nil {
			return nil, problemOf(err)
		}
		return &answer[[]DeadLetter]{some(list)}, nil
	})
	get(api, "/api/v1/dlq/{id}", "One refused row, with its values", func(ctx context.Context, in *deadLetterInput) (*answer[DeadLetter], error) {
		l, err := s.DeadLetters.DeadLetter(ctx, in.ID)
		if err != nil {
			return nil, problemOf(err)
		}
		return &answer[DeadLetter]{l}, nil
	})
	act := func(do func(context.Context, DeadLetterRequest) (DeadLetterReport, error)) func(context.Context, *asked[DeadLetterRequest]) (*answer[DeadLetterReport], error) {
		return func(ctx context.Context, in *asked[DeadLetterRequest]) (*answer[DeadLetterReport], error) {
			r, err := do(ctx, in.Body)
			if err != nil {
				return nil, problemOf(err)
			}
			r.Done, r.Gone, r.Covers = some(r.Done), some(r.Gone), some(r.Covers)
			return &answer[DeadLetterReport]{r}, nil
		}
	}
	post(api, "/api/v1/dlq/replay", "Give destinations refused rows again, as they are now", act(s.DeadLetters.ReplayDeadLetters))
	post(api, "/api/v1/dlq/drop", "Take refused rows off the list", act(s.DeadLetters.DropDeadLetters))
}

// DeadLetters lists refused rows.
func (c *Client) DeadLetters(ctx context.Context, sink string) ([]DeadLetter, error) {
	return fetch[[]DeadLetter](ctx, c, http.MethodGet, "/api/v1/dlq?sink="+url.QueryEscape(sink), nil)
}

// DeadLetter returns one refused row.
func (c *Client) DeadLetter(ctx context.Context, id string) (DeadLetter, error) {
	return fetch[DeadLetter](ctx, c, http.MethodGet, "/api/v1/dlq/"+url.PathEscape(id), nil)
}

// ReplayDeadLetters gives destinations refused rows again.
func (c *Client) ReplayDeadLetters(ctx context.Context, r DeadLetterRequest) (DeadLetterReport, error) {
	return fetch[DeadLetterReport](ctx, c, http.MethodPost, "/api/v1/dlq/replay", r)
}

// DropDeadLetters takes refused rows off the list.
func (c *Client) DropDeadLetters(ctx context.Context, r DeadLetterRequest) (DeadLetterReport, error) {
	return fetch[DeadLetterReport](ctx, c, http.MethodPost, "/api/v1/dlq/drop", r)
}
