package sinks

import (
	"time"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Poisoned is a row that a destination refuses.
type Poisoned struct {
	// Table is Target.From, Key the row's key as FormatKey prints it.
	Table string
	Key   string
	// Seq of the row's last event in the batch that was refused.
	Seq    change.Seq
	Reason string
}

// Entry is a row that cdc_quarantine lists.
type Entry struct {
	Poisoned
	Stream string
	At     time.Time
}
