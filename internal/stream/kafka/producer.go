package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// onTheWay bounds the bytes that are sent and not acknowledged, and with that the size of a stored batch:
// a reader has to take at least one whole.
const onTheWay = 4 << 20

// ProducerConfig describes a Producer. TransactionalID is required.
type ProducerConfig struct {
	Config
	// TransactionalID is what fences writers; stream.Rules.TransactionalID makes it.
	TransactionalID string
	// Timeout is how long a transaction may take. 0 asks the broker for its maximum
	// (transaction.max.timeout.ms), or takes 15 minutes where asking is not allowed.
	Timeout time.Duration
	// MaxRecordBytes is the largest record, default 64 MiB; the topics must allow it.
	MaxRecordBytes int
}

// Producer implements stream.Producer. Each Init makes a new client, so that nothing of a lost transaction
// can survive in one.
type Producer struct {
	cfg     ProducerConfig
	timeout time.Duration
	cl      *kgo.Client
	began   time.Time // zero: no transaction is open

	mu     sync.Mutex
	space  *sync.Cond // signalled when flight shrinks
	flight int
	parts  map[partition]*wire.Part
	err    error // the first one that a record met
}

type partition struct {
	topic  string
	number int32
}

// NewProducer returns a Producer; nothing is sent before Init. Close it.
func NewProducer(cfg ProducerConfig) *Producer {
	if cfg.MaxRecordBytes == 0 {
		cfg.MaxRecordBytes = 64 << 20
	}
	p := &Producer{cfg: cfg}
	p.space = sync.NewCond(&p.mu)
	return p
}

// Close drops the client. A transaction that is open stays so until the next Init of its id, or until it
// times out.
func (p *Producer) Close() {
	if p.cl != nil {
		p.cl.Close()
		p.cl = nil
	}
}

// Timeout is how long the broker lets a transaction live; 0 before the first Init.
func (p *Producer) Timeout() time.Duration { return p.timeout }

// Init implements stream.Producer.
func (p *Producer) Init(ctx context.Context) error {
	p.Close()
	p.reset()
	if p.timeout == 0 {
		if err := p.askTimeout(ctx); err != nil {
			return err
		}
	}
	cl, err := p.cfg.connect(
		kgo.TransactionalID(p.cfg.TransactionalID), kgo.TransactionTimeout(p.timeout),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()), kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchMaxBytes(int32(min(p.cfg.MaxRecordBytes+64<<10, 1<<30))), kgo.BrokerMaxWriteBytes(1<<30),
		kgo.MaxBufferedRecords(1<<20), kgo.ProducerLinger(2*time.Millisecond), kgo.RecordPartitioner(partitioner()),
		kgo.ConcurrentTransactionsBackoff(2*time.Millisecond), kgo.RetryBackoffFn(backoff),
	)
	if err != nil {
		return err
	}
	if _, _, err := cl.ProducerID(ctx); err != nil {
		cl.Close()
		if errors.Is(err, kerr.InvalidTransactionTimeout) {
			return fmt.Errorf("initialise transactional id %s with a timeout of %s: %w (lower the timeout, or raise transaction.max.timeout.ms on the broker)",
				p.cfg.TransactionalID, p.timeout, err)
		}
		return fmt.Errorf("initialise transactional id %s: %w", p.cfg.TransactionalID, err)
	}
	p.cl = cl
	return nil
}

func (p *Producer) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.began, p.parts, p.err = time.Time{}, map[partition]*wire.Part{}, nil
}

// askTimeout asks the broker how long a transaction may take at most.
func (p *Producer) askTimeout(ctx context.Context) error {
	if p.timeout = p.cfg.Timeout; p.timeout > 0 {
		return nil
	}
	cl, err := p.cfg.connect()
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	meta, err := adm.BrokerMetadata(ctx)
	if err != nil {
		return fmt.Errorf("ask Kafka at %v for its brokers: %w", p.cfg.Brokers, err)
	}
	p.timeout = 15 * time.Minute // Kafka's default, where describing is not allowed
	cs, err := adm.DescribeBrokerConfigs(ctx, meta.Controller)
	if err != nil {
		return nil // not allowed or not known: the default stands, InitProducerID will tell
	}
	for _, rc := range cs {
		for _, c := range rc.Configs {
			if c.Key == "transaction.max.timeout.ms" && c.Value != nil {
				if ms, err := strconv.ParseInt(*c.Value, 10, 64); err == nil && ms > 0 {
					p.timeout = time.Duration(min(ms, 1<<31-1)) * time.Millisecond
				}
			}
		}
	}
	return nil
}

// backoff is how long the client waits before it tries again. It starts low: while a broker writes the
// markers of one commit it refuses the records of the next transaction, for a few milliseconds.
func backoff(tries int) time.Duration {
	return min(2*time.Millisecond<<min(tries, 10), time.Second)
}

func partitioner() kgo.Partitioner {
	return kgo.BasicConsistentPartitioner(func(string) func(*kgo.Record, int) int {
		return func(r *kgo.Record, n int) int { return int(stream.Partition(r.Key, r.Value, int32(n))) }
	})
}

// Produce implements stream.Producer.
func (p *Producer) Produce(ctx context.Context, m *stream.Message) error {
	if p.cl == nil {
		return fmt.Errorf("produce to %s: the producer is not initialised: %w", m.Topic, stream.ErrRestart)
	}
	if p.began.IsZero() {
		if err := p.cl.BeginTransaction(); err != nil {
			return p.classify("begin a transaction", err, stream.ErrRestart)
		}
		p.began = time.Now()
	}
	r := &kgo.Record{Topic: m.Topic, Key: m.Key, Value: m.Value}
	if len(m.Headers) > 0 {
		r.Headers = make([]kgo.RecordHeader, len(m.Headers))
		for i, h := range m.Headers {
			r.Headers[i] = kgo.RecordHeader(h)
		}
	}
	size := len(m.Key) + len(m.Value) + 64
	if err := p.admit(size); err != nil {
		return p.classify("produce to "+m.Topic, err, stream.ErrRestart)
	}
	p.cl.Produce(ctx, r, func(r *kgo.Record, err error) { p.acknowledged(r, size, err) })
	return nil
}

// admit waits until so many bytes may go on their way. It ends: a record is acknowledged or fails.
func (p *Producer) admit(size int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.err == nil && p.flight > 0 && p.flight+size > onTheWay {
		p.space.Wait()
	}
	p.flight += size
	return p.err
}

func (p *Producer) acknowledged(r *kgo.Record, size int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flight -= size
	p.space.Broadcast()
	if err != nil {
		if p.err == nil {
			p.err = fmt.Errorf("%s[%d]: %w", r.Topic, r.Partition, err)
		}
		return
	}
	at := partition{r.Topic, r.Partition}
	q := p.parts[at]
	if q == nil {
		q = &wire.Part{Topic: r.Topic, Partition: r.Partition, From: r.Offset}
		p.parts[at] = q
	}
	q.From, q.Next = min(q.From, r.Offset), max(q.Next, r.Offset+1)
	q.Count++
	if r.Value == nil {
		q.Tombstones++
	}
}

// Flush implements stream.Producer.
func (p *Producer) Flush(ctx context.Context) ([]wire.Part, error) {
	if p.cl == nil {
		return nil, fmt.Errorf("flush: the producer is not initialised: %w", stream.ErrRestart)
	}
	if err := p.cl.Flush(ctx); err != nil {
		return nil, p.classify("flush", err, stream.ErrRestart)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return nil, p.classify("produce", p.err, stream.ErrRestart)
	}
	out := make([]wire.Part, 0, len(p.parts))
	for _, q := range p.parts {
		out = append(out, *q)
	}
	slices.SortFunc(out, func(a, b wire.Part) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return out, nil
}

// End implements stream.Producer. A commit flushes what is left.
func (p *Producer) End(ctx context.Context, commit bool) error {
	if p.cl == nil {
		return fmt.Errorf("end a transaction: the producer is not initialised: %w", stream.ErrRestart)
	}
	if p.began.IsZero() {
		return nil
	}
	if commit {
		if _, err := p.Flush(ctx); err != nil {
			return err
		}
	} else if err := p.cl.AbortBufferedRecords(ctx); err != nil {
		return p.classify("abort", err, stream.ErrRestart)
	}
	// Half an end is the worst of all ends: who is told to stop waits a little longer for the answer.
	ctx, cancel := linger(ctx, 5*time.Second, time.Minute)
	defer cancel()
	if err := p.cl.EndTransaction(ctx, kgo.TransactionEndTry(commit)); err != nil {
		return p.classify("end a transaction", err, stream.ErrUnknownOutcome)
	}
	p.reset()
	return nil
}

// linger returns a context that ends a while after ctx does, or after the limit.
func linger(ctx context.Context, after, limit time.Duration) (context.Context, context.CancelFunc) {
	out, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	stop := context.AfterFunc(ctx, func() {
		t := time.AfterFunc(after, cancel)
		context.AfterFunc(out, func() { t.Stop() })
	})
	return out, func() { stop(); cancel() }
}

// classify says what an error means to the Writer; otherwise is what it means if nothing better is known.
func (p *Producer) classify(doing string, err error, otherwise error) error {
	took := time.Since(p.began)
	if p.began.IsZero() {
		took = 0
	}
	switch {
	case isAny(err, kerr.InvalidProducerEpoch, kerr.ProducerFenced, kerr.InvalidProducerIDMapping, kerr.InvalidTxnState) && took >= p.timeout:
		return fmt.Errorf("%s: %w", doing, &stream.SlowError{Stream: p.cfg.TransactionalID, Took: took, Limit: p.timeout, Err: err})
	case isAny(err, kerr.InvalidProducerEpoch, kerr.ProducerFenced, kerr.InvalidProducerIDMapping):
		return fmt.Errorf("%s as %s: %w: %w", doing, p.cfg.TransactionalID, err, stream.ErrFenced)
	case isAny(err, kerr.OperationNotAttempted, kerr.TransactionAbortable, kerr.InvalidTxnState):
		return fmt.Errorf("%s as %s: %w: %w", doing, p.cfg.TransactionalID, err, stream.ErrRestart)
	case isAny(err, kerr.MessageTooLarge, kerr.RecordListTooLarge):
		return fmt.Errorf("%s: %w (the topic or the broker allows less than topics.max_message_bytes: raise max.message.bytes)", doing, err)
	}
	return fmt.Errorf("%s as %s: %w: %w", doing, p.cfg.TransactionalID, err, otherwise)
}

func isAny(err error, targets ...error) bool {
	return slices.ContainsFunc(targets, func(t error) bool { return errors.Is(err, t) })
}
