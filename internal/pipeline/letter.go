package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// LetterVersion is the format of dead letters that this build writes and reads.
const LetterVersion = 1

// Letter is a row that a destination refused, as the topic of dead letters holds it. A letter may be there
// twice; cdc_quarantine in the destination says which rows are withheld.
type Letter struct {
	V      int        `json:"v"`
	Sink   string     `json:"sink"`
	Stream string     `json:"stream"`
	Table  string     `json:"table"`
	Key    string     `json:"key"`
	Seq    change.Seq `json:"seq"`
	Reason string     `json:"reason"`
	// Class is what was tried: insert, update, delete, read (a row of a cover), or show (found out only when
	// what was staged was shown; the row stands in the stream, not here).
	Class string    `json:"class"`
	At    time.Time `json:"at"`
	// Row holds the values as texts, null for NULL, in the order of the table's columns.
	Row []LetterValue `json:"row,omitempty"`
}

// LetterValue is one value of a refused row.
type LetterValue struct {
	Column string  `json:"column"`
	Value  *string `json:"value"`
}

// classOf is the class of what an operation tries.
func classOf(op change.Op) string {
	switch op {
	case change.Insert:
		return "insert"
	case change.Update:
		return "update"
	case change.Delete:
		return "delete"
	case change.Read:
		return "read"
	}
	return op.String()
}

// classShow is the class of rows that no batch holds any more.
const classShow = "show"

// Letters writes dead letters to a topic.
type Letters struct {
	Topic    string
	Producer stream.Producer

	ready bool
}

// Put writes letters and returns when they are durable. It is used by one goroutine at a time.
func (l *Letters) Put(ctx context.Context, letters []Letter) error {
	if err := l.put(ctx, letters); err != nil {
		l.ready = false
		return fmt.Errorf("write dead letters to %s: %w", l.Topic, err)
	}
	return nil
}

func (l *Letters) put(ctx context.Context, letters []Letter) error {
	if !l.ready {
		if err := l.Producer.Init(ctx); err != nil {
			return err
		}
		l.ready = true
	}
	for i := range letters {
		v, err := json.Marshal(&letters[i])
		if err != nil {
			return err
		}
		m := &stream.Message{Topic: l.Topic, Key: []byte(letters[i].Table + letters[i].Key), Value: v}
		if err := l.Producer.Produce(ctx, m); err != nil {
			return err
		}
	}
	if _, err := l.Producer.Flush(ctx); err != nil {
		return errors.Join(err, l.Producer.End(ctx, false))
	}
	return l.Producer.End(ctx, true)
}

// ParseLetter reads a letter.
func ParseLetter(b []byte) (Letter, error) {
	var l Letter
	if err := json.Unmarshal(b, &l); err != nil {
		return l, fmt.Errorf("read a dead letter: %w", err)
	}
	if l.V != LetterVersion {
		return l, fmt.Errorf("read a dead letter: format %d is unknown (it was written by another version: use that one)", l.V)
	}
	return l, nil
}

// Poisoned writes the rows that the destination refuses, found in the batch that it is applying, as dead
// letters. It is what the sink's observer calls.
func (d *Deliver) Poisoned(ctx context.Context, refused []sinks.Poisoned) error {
	if d.d.Letters == nil {
		return nil
	}
	now := d.d.Clock.Now()
	letters := make([]Letter, len(refused))
	index := make(map[[2]string]int, len(refused))
	for i, p := range refused {
		letters[i] = Letter{V: LetterVersion, Sink: d.cfg.Sink, Stream: d.cfg.Stream, Table: p.Table, Key: p.Key, Seq: p.Seq, Reason: p.Reason, Class: classShow, At: now}
		index[[2]string{p.Table, p.Key}] = i
	}
	if d.current != nil {
		for ev, err := range d.current.Events(ctx) {
			if err != nil {
				return err
			}
			row := ev.After
			if row == nil {
				row = ev.Before
			}
			key, ok := keyText(ev.Table, row)
			if !ok {
				continue
			}
			if i, found := index[[2]string{ev.Table.ID.String(), key}]; found {
				letters[i].Class, letters[i].Row = classOf(ev.Op), letterRow(ev.Table, row)
			}
		}
	}
	return d.d.Letters(ctx, letters)
}

func keyText(t *change.Table, row change.Row) (string, bool) {
	key := make(change.Row, len(t.Key))
	for i, c := range t.Key {
		if c >= len(row) || row[c].IsAbsent() {
			return "", false
		}
		key[i] = row[c]
	}
	return sinks.FormatKey(key), true
}

func letterRow(t *change.Table, row change.Row) []LetterValue {
	var out []LetterValue
	for i, v := range row {
		if v.IsAbsent() {
			continue
		}
		lv := LetterValue{Column: t.Columns[i].Name}
		if !v.IsNull() {
			text := v.String()
			if k := v.Kind(); k == change.String || k == change.JSON {
				text = v.Text()
			}
			lv.Value = &text
		}
		out = append(out, lv)
	}
	return out
}
