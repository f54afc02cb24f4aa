package stream

import (
	"context"
	"time"

	"github.com/etlsandbox/cdc/schemas/wire"
)

// Header is one header of a record.
type Header struct {
	Key   string
	Value []byte
}

// Message is one record to be written. A nil Value is a tombstone.
type Message struct {
	Topic      string
	Key, Value []byte
	Headers    []Header
}

// Producer writes transactions to the topics of one stream. It is used by one goroutine at a time. Its
// errors are ErrFenced, ErrUnknownOutcome, *SlowError, *TooLargeError or something else, wrapped; after
// any error but *TooLargeError only Init is allowed.
type Producer interface {
	// Init takes the right to write and ends what a predecessor, or this producer, left open. It waits
	// until that is done on all partitions.
	Init(ctx context.Context) error
	// Produce sends a record as part of the transaction, and begins one if none is open. It blocks while too
	// much is on its way. The message belongs to the producer until Flush or End returns.
	Produce(ctx context.Context, m *Message) error
	// Flush waits until the broker has acknowledged everything sent, and returns what the transaction holds so
	// far: per partition the first offset, the offset after the last, the number of records and, among them,
	// of tombstones; in order of topic and partition.
	Flush(ctx context.Context) ([]wire.Part, error)
	// End commits or aborts the transaction. It is not cancelled halfway.
	End(ctx context.Context, commit bool) error
}

// Bounds are the places of one partition's log. Start is its first offset, Stable the first offset that is
// not readable yet, End the offset that the next record gets.
type Bounds struct{ Start, Stable, End int64 }

// Want asks for the records of a partition from an offset on.
type Want struct {
	Topic     string
	Partition int32
	From      int64
	// MaxBytes bounds what is fetched (as stored, that is compressed); at least one stored batch comes.
	MaxBytes int32
}

// Entry is one committed record.
type Entry struct {
	Offset     int64
	Key, Value []byte
	Headers    []Header
	// Millis is the time of produce, milliseconds since the epoch.
	Millis int64
}

// Fetched answers a Want. Records are committed and lie in [From, Next), in order; every committed record
// of that range is there. Next moves past control and aborted records too. If From lies outside of the
// log, or nothing is readable there yet, there are no records, Next is From, and Bounds says which.
type Fetched struct {
	Records []Entry
	Next    int64
	Bounds  Bounds
}

// Log reads partitions. A Log serves one reader at a time. What an answer holds stays valid and is never
// changed afterwards.
type Log interface {
	// Read answers each Want in order. If none has anything readable it waits, at most so long; an answer
	// without records is not an error.
	Read(ctx context.Context, wants []Want, wait time.Duration) ([]Fetched, error)
	// Bounds asks for the places of partitions. A partition that does not exist is ErrNoTopic, here and in Read.
	Bounds(ctx context.Context, parts []wire.Part) ([]Bounds, error)
}

// Trimmer drops the records of partitions that lie before the offsets (Part.Next).
type Trimmer interface {
	Trim(ctx context.Context, parts []wire.Part) error
}
