package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/internal/admin"
)

// script answers call by call; the last answer stays.
type script struct {
	statuses []admin.Status
	listed   []admin.DeadLetter
	early    bool // the list was asked for before the last status
}

func (s *script) Status(context.Context) (admin.Status, error) {
	st := s.statuses[0]
	if len(s.statuses) > 1 {
		s.statuses = s.statuses[1:]
	}
	return st, nil
}

func (s *script) DeadLetters(context.Context, string) ([]admin.DeadLetter, error) {
	s.early = len(s.statuses) > 1
	return s.listed, nil
}

// A row counts as replayed once its sink has passed the replay and does not list it.
func TestReplay(t *testing.T) {
	at := func(newest, behind uint64, state string) admin.Status {
		return admin.Status{Streams: []admin.Stream{{Name: "views", Seq: newest}}, Sinks: []admin.Sink{{Name: "mars", State: state, LagTransactions: behind}}}
	}
	row := func(id, key string) admin.DeadLetter {
		return admin.DeadLetter{ID: id, Sink: "mars", Stream: "views", Table: "Flat", Key: key, Reason: "too cheap"}
	}
	asked := []admin.DeadLetter{row("a", "[1]"), row("b", "[2]")}
	d := &script{
		statuses: []admin.Status{at(10, 3, "running"), at(12, 3, "running"), at(20, 9, "running")},
		listed:   []admin.DeadLetter{row("c", "[2]"), row("d", "[3]")},
	}
	again, err := refusedAgain(t.Context(), d, asked, time.Millisecond)
	if diff := cmp.Diff([]admin.DeadLetter{row("c", "[2]")}, again); err != nil || diff != "" || d.early {
		t.Errorf("asked early: %t, %v (-want +got):\n%s", d.early, err, diff)
	}
	var out bytes.Buffer
	a := &app{process: process{stdout: &out}}
	err = a.printDeadLetters(admin.DeadLetterReport{Done: asked, Again: again, Gone: []string{"e"}}, "replayed")
	want := "a  replayed mars/Flat key [1]\nb  refused again by mars/Flat key [2], now listed as c\n    too cheap\nnever listed, or not listed any more: e\n"
	if diff := cmp.Diff(want, out.String()); diff != "" || err == nil {
		t.Errorf("answer %v (-want +got):\n%s", err, diff)
	}
	if err := a.printDeadLetters(admin.DeadLetterReport{Done: asked}, "replayed"); err != nil {
		t.Errorf("all taken: %v", err)
	}
	if err := a.printDeadLetters(admin.DeadLetterReport{Done: asked, Again: again}, "replayed"); err == nil {
		t.Error("refused again, and the answer is yes")
	}
	d = &script{statuses: []admin.Status{at(10, 3, "running"), at(10, 3, "stopped")}}
	if _, err := refusedAgain(t.Context(), d, asked, time.Millisecond); err == nil || !strings.Contains(err.Error(), "sink mars is stopped") {
		t.Errorf("a sink that stopped: %v", err)
	}
}
