package clickhouse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// formatVersion of the rows in cdc_progress and cdc_quarantine.
const formatVersion = 1

// progressDDL: the row with table_name ” is the stream's; a table has one only while it does not follow
// the stream. stage is its phase, begun the Seq of the cover that runs. plan is not empty while a batch is
// being written: what its blocks are. cdc_version is a term of a writer and the count of its writes (see
// term), so that what a fenced writer still writes is not the newest.
const progressDDL = `CREATE TABLE IF NOT EXISTS %s (
  stream String,
  table_name String,
  cover_id String DEFAULT '',
  incarnation UInt64 DEFAULT 0,
  progress_offset Int64 DEFAULT 0,
  progress_id String DEFAULT '',
  seq UInt64 DEFAULT 0,
  position String DEFAULT '{}',
  committed_at Nullable(DateTime64(6, 'UTC')),
  applied_at DateTime64(6, 'UTC') DEFAULT now64(6),
  writer String DEFAULT '',
  format_version UInt32,
  stage String DEFAULT '',
  begun UInt64 DEFAULT 0,
  plan String DEFAULT '',
  cdc_version UInt64,
  cdc_deleted UInt8 DEFAULT 0
) ENGINE = ReplacingMergeTree(cdc_version, cdc_deleted)
ORDER BY (stream, table_name)
SETTINGS %s`

const quarantineDDL = `CREATE TABLE IF NOT EXISTS %s (
  stream String,
  table_name String,
  row_key String,
  seq UInt64,
  reason String,
  at DateTime64(6, 'UTC') DEFAULT now64(6),
  cdc_version UInt64,
  cdc_deleted UInt8 DEFAULT 0
) ENGINE = ReplacingMergeTree(cdc_version, cdc_deleted)
ORDER BY (stream, table_name, row_key)
SETTINGS %s`

// termBits is how many bits of a version in cdc_progress count the writes of one term. A term is one
// writer's; the next Prepare begins the next one.
const termBits = 40

func termOf(version uint64) uint64 { return version >> termBits }

// ledger is what cdc_progress says of a stream.
type ledger struct {
	mark    change.Mark
	states  map[string]sinks.TableState
	plan    plan
	writer  string
	version uint64 // of the stream's row; 0 without one
	// strays are tables whose rows belong to an earlier term: a fenced writer was late. They say nothing.
	strays []string
}

func (s *Sink) ensureBookkeeping(ctx context.Context) error {
	settings := strings.Join(mergeTreeSettings(!s.cfg.NoSync), ", ")
	there := map[string]bool{}
	err := s.query(ctx, fmt.Sprintf("SELECT name FROM system.tables WHERE database = %s AND name IN ('cdc_progress', 'cdc_quarantine')", literal(s.cfg.Database)),
		func(scan func(...any) error) error {
			var name string
			err := scan(&name)
			there[name] = true
			return err
		})
	if err != nil {
		return fmt.Errorf("look for cdc_progress: %w", err)
	}
	missing := false
	for _, b := range [...]struct{ name, ddl string }{
		{"cdc_progress", fmt.Sprintf(progressDDL, s.progress, settings)}, {"cdc_quarantine", fmt.Sprintf(quarantineDDL, s.quarantine, settings)},
	} {
		if there[b.name] {
			continue
		}
		if missing = true; s.plan != nil {
			s.plan.note(b.ddl)
			continue
		}
		if err := s.exec(ctx, "bookkeeping", b.ddl, nil); err != nil {
			return err
		}
	}
	if missing && s.plan != nil {
		return nil
	}
	var newest uint32
	if err := s.queryRow(ctx, "SELECT max(format_version) FROM "+s.progress, &newest); err != nil {
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

// load reads the stream's Mark, the states of its tables, and the plan of a batch that was not finished.
func (s *Sink) load(ctx context.Context, stream string) (ledger, error) {
	l := ledger{states: map[string]sinks.TableState{}}
	terms := map[string]uint64{}
	err := s.query(ctx, fmt.Sprintf(`SELECT table_name, cover_id, stage, begun, incarnation, progress_offset, progress_id, seq, position, writer, plan, cdc_version
FROM %s FINAL WHERE stream = %s`, s.progress, literal(stream)), func(scan func(...any) error) error {
		var table, cover, stage, position, writer, planText string
		var begun, seq, version uint64
		var m change.Mark
		if err := scan(&table, &cover, &stage, &begun, &m.Incarnation, &m.Offset, &m.ID, &seq, &position, &writer, &planText, &version); err != nil {
			return err
		}
		m.Seq = change.Seq(seq)
		if err := json.Unmarshal([]byte(position), &m.Position); err != nil {
			return fmt.Errorf("position of table %q: %w", table, err)
		}
		if table == "" {
			l.mark, l.writer, l.version = m, writer, version
			return l.plan.parse(planText)
		}
		phase, err := sinks.ParsePhase(stage)
		if err != nil {
			return fmt.Errorf("table %q: %w", table, err)
		}
		terms[table] = termOf(version)
		l.states[table] = sinks.TableState{Phase: phase, Cover: cover, Begun: change.Seq(begun), Boundary: m}
		return nil
	})
	if err != nil {
		return l, fmt.Errorf("read %s: %w", s.progress, err)
	}
	for t, term := range terms {
		if term < termOf(l.version) {
			l.strays = append(l.strays, t)
			delete(l.states, t)
		}
	}
	return l, nil
}

// take begins a term of this writer. Its number is a deduplication token: of several who begin the same
// term, one does. Everything that belongs to the stream is written again under it, in one block, so that what
// a writer of an earlier term still writes counts for nothing.
func (s *Sink) take(ctx context.Context, stream string) (ledger, error) {
	const tries = 20
	for range tries {
		l, err := s.load(ctx, stream)
		if err != nil {
			return l, err
		}
		newest, err := s.newestVersion(ctx, stream)
		if err != nil {
			return l, err
		}
		term := termOf(newest) + 1
		l.writer, l.version = s.writer, term<<termBits
		if err := s.store(ctx, "take", stream, &l, 0, nil, fmt.Sprintf("take %s %d", stream, term)); err != nil {
			return l, err
		}
		now, err := s.load(ctx, stream)
		if err != nil {
			return l, err
		}
		if now.writer == s.writer && termOf(now.version) == term {
			return now, nil
		}
	}
	return ledger{}, &sinks.RetryError{Reason: "moved", Err: fmt.Errorf("take stream %s: others began a term %d times", stream, tries)}
}

func (s *Sink) newestVersion(ctx context.Context, stream string) (uint64, error) {
	var newest uint64
	err := s.queryRow(ctx, fmt.Sprintf("SELECT max(cdc_version) FROM %s WHERE stream = %s", s.progress, literal(stream)), &newest)
	if err != nil {
		return 0, fmt.Errorf("read the newest term of %s: %w", stream, err)
	}
	return newest, nil
}

// errMoved says that the destination's Mark is not the one this process left there.
var errMoved = errors.New("the destination's place in the stream has changed under this process: was it restored from a backup?")

// fence makes sure that the right to write is still this process's. There is no lock that would make it last:
// what is written after another has taken it is harmless, because versions decide.
func (s *Sink) fence(ctx context.Context, stream string, l *ledger) error {
	var writer, id string
	var version uint64
	err := s.queryRow(ctx, fmt.Sprintf("SELECT writer, progress_id, cdc_version FROM %s FINAL WHERE stream = %s AND table_name = ''",
		s.progress, literal(stream)), &writer, &id, &version)
	switch {
	case err != nil && !errors.Is(err, errNoRow):
		return fmt.Errorf("read the writer of %s: %w", stream, err)
	case err == nil && writer == s.writer && version == l.version && id == l.mark.ID:
		return nil
	case err == nil && writer != s.writer && termOf(version) >= termOf(l.version):
		return fmt.Errorf("stream %s at clickhouse sink %s (writer %q there, %q here): %w", stream, s.cfg.Name, writer, s.writer, sinks.ErrFenced)
	}
	return &sinks.RetryError{Reason: "moved", Err: errMoved}
}

// mine is a condition that is true while the newest row of the stream is the one that this process left there.
func (s *Sink) mine(stream string, l *ledger) string {
	return fmt.Sprintf("(SELECT count() FROM %s FINAL WHERE stream = %s AND table_name = '' AND writer = %s AND progress_id = %s AND cdc_version = %d) = 1",
		s.progress, literal(stream), literal(s.writer), literal(l.mark.ID), l.version)
}

// replace writes next over was, if was is still what the destination has: what fence asks, asked by the
// statement that writes.
func (s *Sink) replace(ctx context.Context, step, stream string, was, next *ledger, committed int64) error {
	const text = "INSERT INTO %s (%s) SELECT * FROM VALUES(%s, %s) WHERE throwIf(NOT (%s), 'not this writer any more') = 0"
	values, err := progressRows(stream, next, committed, gone(was.states, next.states))
	if err != nil {
		return err
	}
	err = s.exec(ctx, step, fmt.Sprintf(text, s.progress, progressColumns, literal(progressTypes), values, s.mine(stream, was)),
		ch.Settings{"insert_deduplicate": 0, "max_threads": 1})
	var ex *ch.Exception
	if !errors.As(err, &ex) || ex.Code != codeThrowIf {
		return err
	}
	if why := s.fence(ctx, stream, was); why != nil {
		return why
	}
	return &sinks.RetryError{Reason: "moved", Err: err} // back again: a restore, or a replica that was late
}

// store writes the stream's row and all that is said of its tables as one block: it is visible in one moment.
// gone are tables whose row goes.
func (s *Sink) store(ctx context.Context, step, stream string, l *ledger, committed int64, gone []string, token string) error {
	values, err := progressRows(stream, l, committed, gone)
	if err != nil {
		return err
	}
	settings := ch.Settings{"insert_deduplicate": 0}
	if token != "" {
		settings = ch.Settings{"insert_deduplicate": 1, "insert_deduplication_token": token}
	}
	return s.exec(ctx, step, fmt.Sprintf("INSERT INTO %s (%s) VALUES %s", s.progress, progressColumns, values), settings)
}

// What is written of a stream and of each of its tables.
const (
	progressColumns = "stream, table_name, cover_id, stage, begun, incarnation, progress_offset, progress_id, seq, position, format_version, cdc_version, committed_at, writer, plan, cdc_deleted"
	progressTypes   = "stream String, table_name String, cover_id String, stage String, begun UInt64, incarnation UInt64, progress_offset Int64, progress_id String, seq UInt64, position String, " +
		"format_version UInt32, cdc_version UInt64, committed_at Nullable(DateTime64(6, 'UTC')), writer String, plan String, cdc_deleted UInt8"
)

// progressRows are the rows of a stream and its tables as VALUES takes them.
func progressRows(stream string, l *ledger, committed int64, gone []string) (string, error) {
	at := "NULL"
	if committed != 0 {
		at = "fromUnixTimestamp64Micro(" + strconv.FormatInt(committed, 10) + ", 'UTC')"
	}
	planText, err := l.plan.text()
	if err != nil {
		return "", err
	}
	first, err := progressRow(stream, "", sinks.TableState{Boundary: l.mark}, l.version)
	if err != nil {
		return "", err
	}
	values := []string{fmt.Sprintf("(%s, %s, %s, %s, 0)", first, at, literal(l.writer), literal(planText))}
	for _, t := range slices.Sorted(maps.Keys(l.states)) {
		r, err := progressRow(stream, t, l.states[t], l.version)
		if err != nil {
			return "", err
		}
		values = append(values, "("+r+", NULL, '', '', 0)")
	}
	for _, t := range slices.Concat(gone, l.strays) {
		if _, back := l.states[t]; back {
			continue
		}
		r, err := progressRow(stream, t, sinks.TableState{}, l.version)
		if err != nil {
			return "", err
		}
		values = append(values, "("+r+", NULL, '', '', 1)")
	}
	return strings.Join(values, ", "), nil
}

// progressRow are the first twelve values of a row.
func progressRow(stream, table string, st sinks.TableState, version uint64) (string, error) {
	m := st.Boundary
	position, err := json.Marshal(m.Position)
	if err != nil {
		return "", fmt.Errorf("encode position: %w", err)
	}
	return fmt.Sprintf("%s, %s, %s, %s, %d, %d, %d, %s, %d, %s, %d, %d", literal(stream), literal(table), literal(st.Cover), literal(st.Phase.String()), st.Begun,
		m.Incarnation, m.Offset, literal(m.ID), m.Seq, literal(string(position)), formatVersion, version), nil
}
