package clickhouse

import (
	"encoding/json"
	"fmt"

	"github.com/etlsandbox/cdc/schemas/change"
)

// plan says what the blocks of a batch are. It is recorded in cdc_progress before the first of them is sent,
// so that a batch that was cut off is written again as the same blocks, under the same tokens: what is there
// already is passed over. The zero plan is that of no batch.
type plan struct {
	// ID and Incarnation are those of the Mark that the batch leads to.
	ID          string     `json:"id,omitempty"`
	Incarnation uint64     `json:"incarnation,omitempty"`
	Seq         change.Seq `json:"seq,omitempty"`
	// Rows of one block at most. Rows of a table are in key order, so they and the batch say what each block is.
	Rows int `json:"rows,omitempty"`
	// Large says that the batch is netted at the destination.
	Large bool `json:"large,omitempty"`
}

func (p plan) isZero() bool { return p == plan{} }

// isFor reports whether the plan is that of the batch.
func (p plan) isFor(b *change.Batch) bool {
	return p.ID == b.Mark.ID && p.Incarnation == b.Mark.Incarnation && p.Seq == b.Mark.Seq
}

func newPlan(b *change.Batch, rows int) plan {
	return plan{ID: b.Mark.ID, Incarnation: b.Mark.Incarnation, Seq: b.Mark.Seq, Rows: rows}
}

// token names a block of the plan for the server's deduplication. without is a digest of rows that were left
// out because the server refuses them.
func (p plan) token(table, part string, block int, without string) string {
	t := fmt.Sprintf("%d/%s/%s/%s/%d", p.Incarnation, p.ID, table, part, block)
	if without != "" {
		t += "/" + without
	}
	return t
}

func (p plan) text() (string, error) {
	if p.isZero() {
		return "", nil
	}
	b, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("encode the plan of a batch: %w", err)
	}
	return string(b), nil
}

func (p *plan) parse(text string) error {
	*p = plan{}
	if text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), p); err != nil {
		return fmt.Errorf("decode the plan of a batch: %w", err)
	}
	return nil
}
