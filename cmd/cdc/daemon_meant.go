package main

import (
	"context"
	"errors"

	"github.com/etlsandbox/cdc/internal/admin"
	"github.com/etlsandbox/cdc/internal/pipeline"
)

// consent is how an operator says that a source is meant which is not, or has not, what the stream came from.
type consent struct {
	wanted chan pipeline.Ask // made while the pipeline waits for it
	given  *pipeline.Ask     // until capture has answered it
}

// untilMeant waits, with the API running, until an operator says that the source is meant as it is.
func (s *service) untilMeant(ctx context.Context, why error) error {
	s.log.Error("stopped until cdc resync --all says that the source is meant as it is", "err", why)
	wanted := make(chan pipeline.Ask)
	s.mu.Lock()
	s.why, s.consent.wanted = why, wanted
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.consent.wanted = nil
		s.mu.Unlock()
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case a := <-wanted:
			// Written down first: a daemon that dies before the cover has begun goes on with the word that was given.
			if err := s.pauses.setMeant(true); err != nil {
				a.Done("", err)
				continue
			}
			s.given(a)
			return nil
		}
	}
}

// given keeps an operator's word until capture has answered it.
func (s *service) given(a pipeline.Ask) {
	answer := a.Done
	a.Done = func(cover string, err error) {
		s.mu.Lock()
		s.consent.given = nil
		s.mu.Unlock()
		answer(cover, errors.Join(err, s.pauses.setMeant(false)))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.consent.given = &a
}

// recallMeant takes up a word that was given to a daemon before this one and that it could not follow.
func (s *service) recallMeant() {
	if !s.pauses.meant() {
		return
	}
	s.log.Info("the source is meant as it is, as cdc resync --all has said: all tables are read again")
	s.given(pipeline.Ask{Heal: true, Back: true, Done: func(_ string, err error) {
		if err != nil {
			s.log.Warn("the word that the source is meant as it is may count again at the next start", "err", err)
		}
	}})
}

// meant returns the ask with which an operator let the source pass, until capture has answered it.
func (s *service) meant() *pipeline.Ask {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.consent.given
}

// mean hands over that the source is meant as it is, and returns when the cover of everything has begun.
func (s *service) mean(ctx context.Context, r admin.ResyncRequest) (admin.ResyncReport, error) {
	s.mu.Lock()
	wanted, tables := s.consent.wanted, s.tables
	s.mu.Unlock()
	if wanted == nil || !r.All || r.DryRun {
		return admin.ResyncReport{}, admin.Refused("the pipeline is not running yet", "see cdc status")
	}
	ask := pipeline.Ask{Tables: tables, Heal: true, Back: true}
	return begin(ctx, func(a pipeline.Ask) {
		select {
		case wanted <- a:
		case <-ctx.Done():
		}
	}, ask)
}
