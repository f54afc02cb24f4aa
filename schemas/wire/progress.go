// Package wire holds the durable and public formats: Debezium's envelope of data records, the progress
// record of a stream, and the records of its meta topic. Every format carries a version; an unknown one
// is refused with the way out.
package wire

import (
	"encoding/json"
	"fmt"

	"github.com/etlsandbox/cdc/schemas/change"
)

// ProgressVersion is the newest version of the progress record that this build writes and reads.
const ProgressVersion = 1

// Progress is the only commit record of a stream: what one Kafka transaction wrote, and where the
// writer resumes. It gates readers and is the heartbeat.
type Progress struct {
	V int `json:"v"`
	// ID is random; Prev is the ID of the record before it in this incarnation ("" of the first).
	ID   string `json:"id"`
	Prev string `json:"prev"`
	// Incarnation is the stream's creation time in microseconds.
	Incarnation uint64          `json:"incarnation"`
	Kind        change.UnitKind `json:"kind"`
	// SeqFrom..SeqTo are the units written; an Idle record has SeqTo = SeqFrom-1.
	SeqFrom change.Seq `json:"seq_from"`
	SeqTo   change.Seq `json:"seq_to"`
	// Position is where the source's log goes on after SeqTo.
	Position     change.Position `json:"position"`
	CommitMicros int64           `json:"commit_us,omitempty"`
	Parts        []Part          `json:"parts,omitempty"`
	// Writer is the random id of the process that wrote the record.
	Writer string `json:"writer"`
	// Input is the joiner's Mark in its input stream (view streams only).
	Input *change.Mark `json:"input,omitempty"`
	// Views maps each view to the hash of its definition (view streams only).
	Views map[string]string `json:"views,omitempty"`
	Cover *change.Cover     `json:"cover,omitempty"`
	// Tables are the shapes that a Begin or Schema announces.
	Tables []*change.Table `json:"tables,omitempty"`
}

// Part is what one Kafka transaction wrote to one partition: exactly [From, Next) holds Count records,
// tombstones included, of which Tombstones are ones. Count may be lower than Next-From: control records
// take offsets too.
type Part struct {
	Topic      string `json:"topic"`
	Partition  int32  `json:"partition"`
	From       int64  `json:"from"`
	Next       int64  `json:"next"`
	Count      int64  `json:"count"`
	Tombstones int64  `json:"tombstones,omitempty"`
}

// Mark returns the Mark of a reader that has applied the record at the given offset.
func (p *Progress) Mark(offset int64) change.Mark {
	return change.Mark{Incarnation: p.Incarnation, Offset: offset, ID: p.ID, Seq: p.SeqTo, Position: p.Position}
}

// EncodeProgress writes the record as JSON, stamping the version.
func EncodeProgress(p *Progress) ([]byte, error) {
	q := *p
	q.V = ProgressVersion
	b, err := json.Marshal(&q)
	if err != nil {
		return nil, fmt.Errorf("encode progress record %s: %w", p.ID, err)
	}
	return b, nil
}

// DecodeProgress reads a record; a version or a kind that this build does not know is an error.
func DecodeProgress(b []byte) (*Progress, error) {
	var p Progress
	if err := decodeVersioned(b, ProgressVersion, "progress record", &p); err != nil {
		return nil, err
	}
	if p.ID == "" || p.Kind == 0 {
		return nil, fmt.Errorf("decode progress record: id or kind is missing in %.200q", b)
	}
	return &p, nil
}

// decodeVersioned checks the field "v" before it decodes the rest.
func decodeVersioned(b []byte, newest int, what string, into any) error {
	var head struct {
		V int `json:"v"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return fmt.Errorf("decode %s: %w", what, err)
	}
	if head.V < 1 || head.V > newest {
		return fmt.Errorf("decode %s: version %d is not known to this build (it reads 1..%d): run the version of cdc that wrote it, or a later one",
			what, head.V, newest)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("decode %s: %w", what, err)
	}
	return nil
}
