package sqlserver

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// formatVersion of the rows in cdc_progress and cdc_quarantine.
const formatVersion = 1

// ensureBookkeeping makes cdc_progress and cdc_quarantine. Of two processes that do so at once one fails, and tries
// again.
func (s *Sink) ensureBookkeeping(ctx context.Context) error {
	missing := false
	for _, b := range [...]struct {
		name string
		ddl  string
	}{
		{s.progress, createProgressSQL.with("progress", s.progress)},
		{s.quarantine, createQuarantineSQL.with("quarantine", s.quarantine)},
	} {
		there, err := s.session.exists(ctx, b.name)
		if err != nil {
			return err
		}
		if there {
			continue
		}
		if missing = true; s.plan != nil {
			s.plan.note(b.ddl)
			continue
		}
		if _, err := s.exec(ctx, "bookkeeping", b.ddl); err != nil {
			return err
		}
	}
	if missing && s.plan != nil {
		return nil
	}
	var newest int
	if _, err := s.session.one(ctx, formatVersionSQL.with("progress", s.progress), nil, &newest); err != nil {
		return fmt.Errorf("read the format of %s: %w", s.progress, err)
	}
	if newest > formatVersion {
		return &sinks.StopError{
			What: fmt.Sprintf("%s has format_version %d, this build knows %d", s.progress, newest, formatVersion),
			Hint: "run the version of cdc that wrote it, or a later one",
		}
	}
	return nil
}

// load reads the stream's Mark and the states of its tables.
func (s *Sink) load(ctx context.Context, stream string) (change.Mark, map[string]sinks.TableState, error) {
	var mark change.Mark
	states := map[string]sinks.TableState{}
	var table, cover, stage, id, position string
	var begun, incarnation, offset, seq int64
	err := s.session.each(ctx, loadSQL.with("progress", s.progress), []any{sql.Named("stream", stream)}, func() error {
		m := change.Mark{Incarnation: uint64(incarnation), Offset: offset, ID: id, Seq: change.Seq(seq)}
		if err := json.Unmarshal([]byte(position), &m.Position); err != nil {
			return fmt.Errorf("position of table %q: %w", table, err)
		}
		if table == "" {
			mark = m
			return nil
		}
		phase, err := sinks.ParsePhase(stage)
		if err != nil {
			return fmt.Errorf("table %q: %w", table, err)
		}
		states[table] = sinks.TableState{Phase: phase, Cover: cover, Begun: change.Seq(begun), Boundary: m}
		return nil
	}, &table, &cover, &stage, &begun, &incarnation, &offset, &id, &seq, &position)
	if err != nil {
		return mark, nil, fmt.Errorf("read %s: %w", s.progress, err)
	}
	return mark, states, nil
}

// errMoved says that the destination's Mark is not the one this process left there.
var errMoved = errors.New("the destination's place in the stream has changed under this process: was it restored from a backup?")

// fence takes the stream's row, which it moves to the batch's Mark, before anything else is written: no row, no right
// to write.
func (a *apply) fence(ctx context.Context) error {
	args, err := a.fenceParameters()
	if err != nil {
		return err
	}
	n, err := a.s.exec(ctx, "progress", fenceSQL.with("progress", a.s.progress), args...)
	if err != nil || n == 1 {
		return err
	}
	return a.s.notMine(ctx, a.b.Stream)
}

// fenceDeclared declares the parameters of the fence.
const fenceDeclared = "@stream nvarchar(128), @writer nvarchar(100), @from_id nvarchar(100), @incarnation bigint, @progress_offset bigint, " +
	"@progress_id nvarchar(100), @seq bigint, @position nvarchar(max), @committed_at datetime2(6), @format_version int"

func (a *apply) fenceParameters() ([]any, error) {
	position, err := json.Marshal(a.b.Mark.Position)
	if err != nil {
		return nil, fmt.Errorf("encode position: %w", err)
	}
	return []any{
		sql.Named("stream", a.b.Stream), sql.Named("writer", a.s.writer), sql.Named("from_id", a.st.mark.ID),
		sql.Named("incarnation", int64(a.b.Mark.Incarnation)), sql.Named("progress_offset", a.b.Mark.Offset),
		sql.Named("progress_id", a.b.Mark.ID), sql.Named("seq", int64(a.b.Mark.Seq)), sql.Named("position", string(position)),
		sql.Named("committed_at", sql.NullTime{Time: time.UnixMicro(a.b.CommitMicros).UTC(), Valid: a.b.CommitMicros != 0}),
		sql.Named("format_version", formatVersion),
	}, nil
}

// notMine says why the stream's row could not be taken.
func (s *Sink) notMine(ctx context.Context, stream string) error {
	var writer string
	if _, err := s.session.one(ctx, writerSQL.with("progress", s.progress), []any{sql.Named("stream", stream)}, &writer); err != nil {
		return fmt.Errorf("read the writer of %s: %w", stream, err)
	}
	if writer != s.writer {
		return fmt.Errorf("stream %s at sqlserver sink %s (writer %q there, %q here): %w", stream, s.cfg.Name, writer, s.writer, sinks.ErrFenced)
	}
	return &sinks.RetryError{Reason: "moved", Err: errMoved}
}

// storeStates writes the states that have changed, and removes those of tables that follow the stream.
func (s *Sink) storeStates(ctx context.Context, stream string, old, now map[string]sinks.TableState) error {
	for t := range old {
		if _, ok := now[t]; ok {
			continue
		}
		_, err := s.exec(ctx, "state", deleteStateSQL.with("progress", s.progress), sql.Named("stream", stream), sql.Named("table_name", t))
		if err != nil {
			return err
		}
	}
	for t, st := range now {
		if was, ok := old[t]; ok && was == st {
			continue
		}
		position, err := json.Marshal(st.Boundary.Position)
		if err != nil {
			return fmt.Errorf("encode position: %w", err)
		}
		_, err = s.exec(ctx, "state", storeStateSQL.with("progress", s.progress),
			sql.Named("stream", stream), sql.Named("table_name", t), sql.Named("cover_id", st.Cover), sql.Named("stage", st.Phase.String()),
			sql.Named("begun", int64(st.Begun)), sql.Named("incarnation", int64(st.Boundary.Incarnation)),
			sql.Named("progress_offset", st.Boundary.Offset), sql.Named("progress_id", st.Boundary.ID),
			sql.Named("seq", int64(st.Boundary.Seq)), sql.Named("position", string(position)), sql.Named("format_version", formatVersion))
		if err != nil {
			return err
		}
	}
	return nil
}

// readMark returns the stream's Mark, without its position, and whether this process still has the right to write.
func (s *Sink) readMark(ctx context.Context, stream string) (mark change.Mark, mine bool, err error) {
	if err := s.connect(ctx); err != nil {
		return mark, false, err
	}
	var writer string
	var incarnation, offset, seq int64
	_, err = s.session.one(ctx, markSQL.with("progress", s.progress), []any{sql.Named("stream", stream)}, &writer, &incarnation, &offset, &mark.ID, &seq)
	if err != nil {
		return mark, false, fmt.Errorf("read %s: %w", s.progress, err)
	}
	mark.Incarnation, mark.Offset, mark.Seq = uint64(incarnation), offset, change.Seq(seq)
	return mark, writer == s.writer, nil
}
