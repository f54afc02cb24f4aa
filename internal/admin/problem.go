package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Problem is an error on the wire, in the form of RFC 9457 with the way out added.
type Problem struct {
	Status int    `json:"status" doc:"HTTP status"`
	Title  string `json:"title" doc:"HTTP status in words"`
	Detail string `json:"detail" doc:"what went wrong"`
	Hint   string `json:"hint,omitempty" doc:"the way out"`
	// Errors name the parts of a request that are not valid.
	Errors []ProblemPart `json:"errors,omitempty"`
}

// ProblemPart is one part of a request that is not valid.
type ProblemPart struct {
	Message  string `json:"message"`
	Location string `json:"location"`
}

// Error writes detail, parts and the way out in one line.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.Detail)
	for _, e := range p.Errors {
		fmt.Fprintf(&b, "; %s: %s", e.Location, e.Message)
	}
	if p.Hint != "" {
		fmt.Fprintf(&b, " (%s)", p.Hint)
	}
	return b.String()
}

// GetStatus is the HTTP status of the answer.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is RFC 9457's.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// NotFound says that the daemon has no such thing; hint names those it has.
func NotFound(what, hint string) error {
	return &Problem{Status: http.StatusNotFound, Title: http.StatusText(http.StatusNotFound), Detail: what, Hint: hint}
}

// Refused says that the daemon will not do what was asked.
func Refused(what, hint string) error {
	return &Problem{Status: http.StatusConflict, Title: http.StatusText(http.StatusConflict), Detail: what, Hint: hint}
}

// Invalid says that a request makes no sense.
func Invalid(what, hint string) error {
	return &Problem{Status: http.StatusUnprocessableEntity, Title: http.StatusText(http.StatusUnprocessableEntity), Detail: what, Hint: hint}
}

// hinter is an error that knows the way out.
type hinter interface{ Hint() string }

// problemOf turns any error of the daemon into a Problem.
func problemOf(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	status := http.StatusInternalServerError
	if errors.Is(err, context.DeadlineExceeded) {
		status = http.StatusGatewayTimeout
	}
	p = &Problem{Status: status, Title: http.StatusText(status), Detail: err.Error()}
	if status == http.StatusGatewayTimeout {
		p.Hint = "allow more time with --timeout, or see cdc status for what is in the way"
	}
	var h hinter
	if errors.As(err, &h) {
		p.Hint = h.Hint()
	}
	return p
}
