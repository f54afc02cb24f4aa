package stream

import (
	"errors"
	"fmt"
	"time"
)

// ErrFenced says that another process writes this stream now: this one must exit and not start again.
var ErrFenced = errors.New("another process writes this stream now")

// ErrUnknownOutcome says that a commit may or may not have happened. Start the Writer again: State then
// says where the stream stands.
var ErrUnknownOutcome = errors.New("the outcome of the commit is unknown")

// ErrRestart says that the transaction is lost but the right to write is not: start the Writer again.
var ErrRestart = errors.New("the writer must be started again")

// ErrGone matches every GoneError.
var ErrGone = errors.New("the log no longer holds what the reader needs")

// ErrNoTopic says that a topic does not exist. It may be a moment of a broker's start; a topic that was
// deleted has to be created again (kafka.Admin.Ensure), which begins a new incarnation.
var ErrNoTopic = errors.New("the topic does not exist")

// GoneError says that a reader cannot go on: the log was cut, trimmed or replaced where it stands. The
// way out is always the same, a cover: ask the writer's stage for one and look for its begin.
type GoneError struct {
	Topic     string
	Partition int32
	Offset    int64
	Reason    string
}

// Error names the place and the way out.
func (e *GoneError) Error() string {
	return fmt.Sprintf("read %s[%d] at offset %d: %s (%s)", e.Topic, e.Partition, e.Offset, e.Reason, e.Hint())
}

// Hint is the way out.
func (e *GoneError) Hint() string {
	return "the reader asks for a cover by itself; if this repeats, raise the topic's retention or check the broker's disks"
}

// Is makes errors.Is(err, ErrGone) hold.
func (e *GoneError) Is(target error) bool { return target == ErrGone }

// TooLargeError says that a record is above the topic's limit; nothing was sent, the transaction goes on.
type TooLargeError struct {
	Topic       string
	Bytes, Most int
}

// Error names the topic, both sizes and the way out.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("append a record of %d bytes to %s: the limit is %d (raise topics.max_message_bytes, or set topics.oversize: unavailable)",
		e.Bytes, e.Topic, e.Most)
}

// SlowError says that a batch needed longer than the broker lets a transaction live; trying again cannot
// mend it.
type SlowError struct {
	Stream      string
	Took, Limit time.Duration
	Err         error
}

// Error names both durations and the line that raises the limit.
func (e *SlowError) Error() string {
	return fmt.Sprintf("write a batch of stream %s: it took %s, the broker ends a transaction after %s: %v (set transaction.max.timeout.ms=%d on the broker)",
		e.Stream, e.Took.Round(time.Second), e.Limit, e.Err, (2 * e.Took).Milliseconds())
}

// Unwrap gives the broker's error.
func (e *SlowError) Unwrap() error { return e.Err }

// Stalled describes a range that a progress record names and that cannot be read yet.
type Stalled struct {
	Topic     string
	Partition int32
	Next      int64 // the range ends before it
	Stable    int64 // readable up to here
	For       time.Duration
}

// String prints the alarm for people.
func (s Stalled) String() string {
	return fmt.Sprintf("%s[%d] is readable up to offset %d, %d is needed, since %s: a transaction's commit marker is missing (look for an unavailable broker or a hanging transaction)",
		s.Topic, s.Partition, s.Stable, s.Next, s.For.Round(time.Second))
}
