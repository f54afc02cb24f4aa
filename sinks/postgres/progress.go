package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// formatVersion of the rows in cdc_progress and cdc_quarantine.
const formatVersion = 1

// progressDDL: the row with table_name ” is the stream's; a table has one only while it does not follow
// the stream. stage is its phase, begun the Seq of the cover that runs.
const progressDDL = `CREATE TABLE IF NOT EXISTS %s (
  stream text COLLATE "C" NOT NULL,
  table_name text COLLATE "C" NOT NULL,
  cover_id text NOT NULL DEFAULT '',
  incarnation bigint NOT NULL DEFAULT 0,
  progress_offset bigint NOT NULL DEFAULT 0,
  progress_id text NOT NULL DEFAULT '',
  seq bigint NOT NULL DEFAULT 0,
  position text NOT NULL DEFAULT '{}',
  committed_at timestamptz,
  applied_at timestamptz NOT NULL DEFAULT now(),
  writer text NOT NULL DEFAULT '',
  format_version integer NOT NULL,
  stage text NOT NULL DEFAULT '',
  begun bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (stream, table_name))`

// quarantineDDL: a key's text may be longer than an index entry, so its hash is what is unique.
const quarantineDDL = `CREATE TABLE IF NOT EXISTS %s (
  stream text COLLATE "C" NOT NULL,
  table_name text COLLATE "C" NOT NULL,
  row_key text COLLATE "C" NOT NULL,
  seq bigint NOT NULL,
  reason text NOT NULL,
  at timestamptz NOT NULL DEFAULT now())`

// quarantineKey is the index that a row which is refused again finds its entry by.
const (
	quarantineKey    = "cdc_quarantine_key"
	quarantineKeyDDL = `CREATE UNIQUE INDEX ` + quarantineKey + ` ON %s (stream, table_name, md5(row_key))`
)

func (s *Sink) ensureBookkeeping(ctx context.Context, tx pgx.Tx) error {
	// CREATE IF NOT EXISTS of two sessions at once can fail; the lock makes them take turns.
	if s.plan == nil {
		if _, err := s.exec(ctx, "lock", "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", "cdc "+s.progress); err != nil {
			return err
		}
	}
	missing := false
	for _, b := range [...]struct{ name, ddl string }{
		{s.progress, fmt.Sprintf(progressDDL, s.progress)},
		{s.quarantine, fmt.Sprintf(quarantineDDL, s.quarantine)},
		{ident(s.cfg.Schema, quarantineKey), fmt.Sprintf(quarantineKeyDDL, s.quarantine)},
	} {
		// Each by itself: planned statements are applied one by one, and may be cut off behind any of them.
		there := false
		if err := tx.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", b.name).Scan(&there); err != nil {
			return fmt.Errorf("look up %s: %w", b.name, err)
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
	if err := tx.QueryRow(ctx, fmt.Sprintf("SELECT coalesce(max(format_version), 0) FROM %s", s.progress)).Scan(&newest); err != nil {
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

const progressColumns = "incarnation, progress_offset, progress_id, seq, position"

// load reads the stream's Mark and the states of its tables.
func (s *Sink) load(ctx context.Context, tx pgx.Tx, stream string) (change.Mark, map[string]sinks.TableState, error) {
	var mark change.Mark
	states := map[string]sinks.TableState{}
	rows, err := tx.Query(ctx, fmt.Sprintf("SELECT table_name, cover_id, stage, begun, %s FROM %s WHERE stream = $1",
		progressColumns, s.progress), stream)
	if err != nil {
		return mark, nil, fmt.Errorf("read %s: %w", s.progress, err)
	}
	var table, cover, stage, id, position string
	var begun, incarnation, offset, seq int64
	dest := []any{&table, &cover, &stage, &begun, &incarnation, &offset, &id, &seq, &position}
	_, err = pgx.ForEachRow(rows, dest, func() error {
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
	})
	if err != nil {
		return mark, nil, fmt.Errorf("read %s: %w", s.progress, err)
	}
	return mark, states, nil
}

// errMoved says that the destination's Mark is not the one this process left there.
var errMoved = errors.New("the destination's place in the stream has changed under this process: was it restored from a backup?")

// fenceSQL takes the stream's row, which it moves to the batch's Mark, before anything else is written: no
// row, no right to write.
func (s *Sink) fenceSQL() string {
	return fmt.Sprintf(`UPDATE %s SET incarnation = $4::bigint, progress_offset = $5::bigint, progress_id = $6, seq = $7::bigint,
position = $8, committed_at = $9::timestamptz, applied_at = clock_timestamp(), format_version = $10::integer
WHERE stream = $1 AND table_name = '' AND writer = $2 AND progress_id = $3`, s.progress)
}

// fenceArgs are its parameters, as text.
func (s *Sink) fenceArgs(b *change.Batch, from change.Mark) ([]*string, error) {
	position, err := json.Marshal(b.Mark.Position)
	if err != nil {
		return nil, fmt.Errorf("encode position: %w", err)
	}
	var committed *string
	if b.CommitMicros != 0 {
		t := time.UnixMicro(b.CommitMicros).UTC().Format("2006-01-02 15:04:05.000000+00")
		committed = &t
	}
	number := func(n int64) *string { t := strconv.FormatInt(n, 10); return &t }
	text := string(position)
	return []*string{
		&b.Stream, &s.writer, &from.ID, number(int64(b.Mark.Incarnation)), number(b.Mark.Offset), &b.Mark.ID,
		number(int64(b.Mark.Seq)), &text, committed, number(formatVersion),
	}, nil
}

func (a *apply) fence(ctx context.Context) error {
	texts, err := a.s.fenceArgs(a.b, a.st.mark)
	if err != nil {
		return err
	}
	args := make([]any, len(texts))
	for i, t := range texts {
		if t != nil {
			args[i] = *t
		}
	}
	n, err := a.s.exec(ctx, "progress", a.s.fenceSQL(), args...)
	if err != nil || n == 1 {
		return err
	}
	return a.s.notMine(ctx, a.b.Stream)
}

// notMine says why the stream's row could not be taken.
func (s *Sink) notMine(ctx context.Context, stream string) error {
	var writer string
	err := s.conn.QueryRow(ctx, fmt.Sprintf("SELECT writer FROM %s WHERE stream = $1 AND table_name = ''", s.progress), stream).Scan(&writer)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("read the writer of %s: %w", stream, err)
	}
	if writer != s.writer {
		return fmt.Errorf("stream %s at postgres sink %s (writer %q there, %q here): %w", stream, s.cfg.Name, writer, s.writer, sinks.ErrFenced)
	}
	return &sinks.RetryError{Reason: "moved", Err: errMoved}
}

// storeStates writes the states that have changed, and removes those of tables that follow the stream.
func (s *Sink) storeStates(ctx context.Context, stream string, old, now map[string]sinks.TableState) error {
	for t := range old {
		if _, ok := now[t]; ok {
			continue
		}
		if _, err := s.exec(ctx, "state", fmt.Sprintf("DELETE FROM %s WHERE stream = $1 AND table_name = $2", s.progress), stream, t); err != nil {
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
		_, err = s.exec(ctx, "state", fmt.Sprintf(`INSERT INTO %s (stream, table_name, cover_id, stage, begun, %s, format_version)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (stream, table_name) DO UPDATE SET cover_id = EXCLUDED.cover_id, stage = EXCLUDED.stage, begun = EXCLUDED.begun,
incarnation = EXCLUDED.incarnation, progress_offset = EXCLUDED.progress_offset, progress_id = EXCLUDED.progress_id,
seq = EXCLUDED.seq, position = EXCLUDED.position, applied_at = clock_timestamp(), format_version = EXCLUDED.format_version`,
			s.progress, progressColumns), stream, t, st.Cover, st.Phase.String(), int64(st.Begun), int64(st.Boundary.Incarnation),
			st.Boundary.Offset, st.Boundary.ID, int64(st.Boundary.Seq), string(position), formatVersion)
		if err != nil {
			return err
		}
	}
	return nil
}

// readMark returns the stream's Mark and whether this process still has the right to write.
func (s *Sink) readMark(ctx context.Context, stream string) (mark change.Mark, mine bool, err error) {
	if err := s.connect(ctx); err != nil {
		return mark, false, err
	}
	var writer string
	var incarnation, offset, seq int64
	err = s.conn.QueryRow(ctx, fmt.Sprintf("SELECT writer, incarnation, progress_offset, progress_id, seq FROM %s WHERE stream = $1 AND table_name = ''",
		s.progress), stream).Scan(&writer, &incarnation, &offset, &mark.ID, &seq)
	if err != nil {
		return mark, false, fmt.Errorf("read %s: %w", s.progress, err)
	}
	mark.Incarnation, mark.Offset, mark.Seq = uint64(incarnation), offset, change.Seq(seq)
	return mark, writer == s.writer, nil
}
