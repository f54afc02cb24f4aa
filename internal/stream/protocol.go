package stream

import (
	"fmt"
	"slices"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// This file is the protocol: what a writer's start concludes from what it finds, what a reader accepts.
// Nothing in it has an effect.

// action is what a writer does after it looked at its stream.
type action uint8

const (
	goOn           action = iota + 1 // from the newest progress record
	newIncarnation                   // the stream is empty, or cannot be trusted
	fenced                           // another process writes it
)

// found is what a writer's start reads, after InitProducerID and up to the end of each partition.
type found struct {
	// newest is the newest committed progress record and at its offset; when the progress topic is empty
	// (after a long stop it may be), meta's copy; nil when there is none either.
	newest *wire.Progress
	at     int64
	// meta is the content of the meta topic; its Newest is nil when the topic is empty.
	meta *wire.Meta
	// progress are the bounds of the progress partition, ends the ends of the partitions that
	// meta.Newest names, in that order.
	progress Bounds
	ends     []int64
	// self is the id of this process, again says that it was a writer of this stream before; seen is its Mark
	// then, and epochLost says that the broker refused its epoch.
	self      string
	again     bool
	seen      change.Mark
	epochLost bool
}

// decideStart is "the start of a writer": go on from the newest record, begin a new incarnation, or exit.
// The text says why it is a new incarnation.
func decideStart(f found, rules Rules) (do action, why string) {
	if f.newest == nil {
		return newIncarnation, whyEmpty
	}
	if f.again && f.newest.Writer != f.self && (f.epochLost || !f.known()) {
		return fenced, ""
	}
	if why := broken(f); why != "" && !rules.off(startCheck) {
		return newIncarnation, why
	}
	return goOn, ""
}

// known reports whether this process may have seen the newest record before: it is the one that it went on
// from, or the log lost its tail and ends with an older one.
func (f found) known() bool {
	return f.newest.ID == f.seen.ID || f.newest.Incarnation == f.seen.Incarnation && f.newest.SeqTo < f.seen.Seq
}

// broken compares progress, meta and the ends of the partitions: a tail that is lost in one of them but
// not in the others shows here.
func broken(f found) string {
	switch m := f.meta.Newest; {
	case m == nil:
		return fmt.Sprintf("the meta topic is empty but the progress topic ends with record %s", f.newest.ID)
	case m.Progress.ID != f.newest.ID || m.Offset != f.at:
		return fmt.Sprintf("the newest progress record is %s at offset %d, meta knows %s at offset %d",
			f.newest.ID, f.at, m.Progress.ID, m.Offset)
	case f.at >= f.progress.End:
		return fmt.Sprintf("the progress topic ends at offset %d, before its newest record at %d", f.progress.End, f.at)
	}
	for i, p := range f.newest.Parts {
		if f.ends[i] < p.Next {
			return fmt.Sprintf("%s[%d] ends at offset %d, the newest progress record names %d", p.Topic, p.Partition, f.ends[i], p.Next)
		}
	}
	return ""
}

// checkNext judges a batch that is about to be committed after Seq last. What it refuses is a mistake of
// the caller.
func checkNext(p *wire.Progress, last change.Seq) error {
	from := last + 1
	switch {
	case p.Kind == change.Begin && p.SeqFrom > last: // a cover that was asked for may be numbered above
		from = p.SeqFrom
	case p.SeqFrom != from:
		return fmt.Errorf("units of kind %s begin at seq %d, the stream goes on at %d", p.Kind, p.SeqFrom, from)
	}
	switch p.Kind {
	case change.Changes:
		if p.SeqTo < from {
			return fmt.Errorf("units %d..%d of kind %s hold nothing", p.SeqFrom, p.SeqTo, p.Kind)
		}
	case change.Idle:
		if p.SeqTo+1 != from {
			return fmt.Errorf("an idle record at seq %d ends at %d, not before it", p.SeqFrom, p.SeqTo)
		}
	case change.Begin, change.Chunk, change.End, change.Schema:
		if p.SeqTo != from {
			return fmt.Errorf("a unit of kind %s is alone in its record, not %d..%d", p.Kind, p.SeqFrom, p.SeqTo)
		}
	}
	return nil
}

// markFound is the check of a Mark: the record at its offset carries its id, or it is the newest in meta
// (after a long stop the progress topic may be empty). record is nil when nothing is readable there.
// The text says why not.
func markFound(m change.Mark, record *wire.Progress, meta *wire.MetaProgress, b Bounds, rules Rules) (bool, string) {
	switch {
	case m.IsZero():
		return false, "the reader stands nowhere yet"
	case m.Offset >= b.End:
		return false, fmt.Sprintf("the log ends at offset %d: it was cut or replaced", b.End)
	case rules.off(offsetOnlyMark):
		return m.Offset >= b.Start, "the offset is trimmed"
	case record != nil && record.ID == m.ID && record.Incarnation == m.Incarnation:
		return true, ""
	case record != nil:
		return false, fmt.Sprintf("record %s (incarnation %d) stands where the reader left %s (incarnation %d): the log was cut or replaced",
			record.ID, record.Incarnation, m.ID, m.Incarnation)
	case meta != nil && meta.Offset == m.Offset && meta.Progress.ID == m.ID:
		return true, ""
	}
	return false, fmt.Sprintf("record %s is trimmed: the log begins at offset %d", m.ID, b.Start)
}

// acceptProgress judges the record after a Mark; first is the id of an adopted begin that was not
// applied yet, or "". The text says why the log was cut, "" accepts.
func acceptProgress(m change.Mark, first string, p *wire.Progress, rules Rules) string {
	if first != "" && p.ID != first && !rules.off(firstIsBegin) {
		return fmt.Sprintf("record %s stands where the begin %s was found: the log was cut", p.ID, first)
	}
	if rules.off(offsetOnlyMark) {
		return ""
	}
	if p.Incarnation != m.Incarnation {
		return fmt.Sprintf("incarnation %d follows %d: the stream was begun anew", p.Incarnation, m.Incarnation)
	}
	if rules.off(prevChain) {
		return ""
	}
	if p.Prev != m.ID {
		return fmt.Sprintf("record %s follows %s, the reader stands behind %s: the log was cut", p.ID, orNone(p.Prev), orNone(m.ID))
	}
	if err := checkNext(p, m.Seq); err != nil {
		return fmt.Sprintf("record %s does not follow seq %d: %v", p.ID, m.Seq, err)
	}
	return ""
}

func orNone(id string) string {
	if id == "" {
		return "none"
	}
	return id
}

// skipped reports whether the record is part of a cover for another reader: it is passed over without
// fetching.
func skipped(p *wire.Progress, reader string) bool { return p.Cover != nil && !p.Cover.IsFor(reader) }

// span is what a progress record says about one partition, as far as one reader takes part in it.
type span struct {
	part   wire.Part
	from   change.Seq
	to     change.Seq
	batch  uint32 // of the progress record
	gated  bool   // false only when the rule is off
	strict bool   // header-seq
	same   bool   // rows are of the record's own batch; off with each rule whose lack it would hide
}

func newSpan(p *wire.Progress, part wire.Part, rules Rules) span {
	return span{
		part: part, from: p.SeqFrom, to: p.SeqTo, batch: batchOf(p.ID),
		gated: !rules.off(readersNotGated), strict: !rules.off(headerSeq), same: !rules.off(headerSeq | prevChain | offsetOnlyMark),
	}
}

// readiness says whether a range can be read now.
type readiness uint8

const (
	ready readiness = iota
	notYet
	lost
)

// ready judges the range against the partition's bounds, before anything of [at, Next) is taken. at is
// where reading goes on. The text says why it is lost.
func (s span) ready(at int64, b Bounds) (readiness, string) {
	switch {
	case at >= s.part.Next:
		return ready, ""
	case at < b.Start:
		return lost, fmt.Sprintf("the log begins at offset %d: the range [%d, %d) is trimmed", b.Start, s.part.From, s.part.Next)
	case b.End < s.part.Next:
		return lost, fmt.Sprintf("the log ends at offset %d: the tail of the range [%d, %d) is lost", b.End, s.part.From, s.part.Next)
	case b.Stable < s.part.Next && s.gated:
		return notYet, ""
	}
	return ready, ""
}

// data judges one record of the range, the text says why the log was cut.
func (s span) data(at place) string {
	if s.strict && (at.seq < s.from || at.seq > s.to) {
		return fmt.Sprintf("a record of seq %d stands in the range of seq %d..%d: the log was cut", at.seq, s.from, s.to)
	}
	if s.same && at.batch != 0 && at.batch != s.batch {
		return fmt.Sprintf("a record of seq %d in the range [%d, %d) belongs to another batch than its progress record: the log was cut and filled again",
			at.seq, s.part.From, s.part.Next)
	}
	return ""
}

// done judges the number of records that the range held, and of tombstones among them: a log that was cut may have
// been filled again with other records of the same units.
func (s span) done(n, tombstones int64) string {
	if s.gated && n == s.part.Count && tombstones != s.part.Tombstones {
		return fmt.Sprintf("the range [%d, %d) holds %d tombstones, its progress record says %d: the log was cut", s.part.From, s.part.Next, tombstones, s.part.Tombstones)
	}
	if s.gated && n != s.part.Count {
		return fmt.Sprintf("the range [%d, %d) holds %d records, its progress record says %d: the log was cut", s.part.From, s.part.Next, n, s.part.Count)
	}
	return ""
}

// adoptable reports whether a begin, found after the asking began, serves a reader that lacks the tables
// and may hold everything up to Seq floor.
func adoptable(p *wire.Progress, reader string, tables []string, floor change.Seq, rules Rules) bool {
	if p.Kind != change.Begin || p.Cover == nil || !p.Cover.Heal || !p.Cover.IsFor(reader) {
		return false
	}
	if p.SeqFrom <= floor && !rules.off(seqAbove) {
		return false
	}
	return rules.off(adoptPartialBegin) || !slices.ContainsFunc(tables, func(t string) bool { return !p.Cover.Names(t) })
}

// markBefore is the Mark of a reader that is about to read the record at the offset.
func markBefore(p *wire.Progress, offset int64) change.Mark {
	return change.Mark{Incarnation: p.Incarnation, Offset: offset - 1, ID: p.Prev, Seq: p.SeqFrom - 1}
}
