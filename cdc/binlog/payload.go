package binlog

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/etlsandbox/cdc/cdc"
)

// payload reads the events of MySQL's compressed transactions (binlog_transaction_compression) while
// they arrive: neither the compressed nor the plain transaction is ever in memory whole.
type payload struct {
	raw   *summed // the compressed bytes as they come
	limit *io.LimitedReader
	zstd  *zstd.Decoder // nil when the payload is not compressed
	plain *bufio.Reader
	event []byte
	outer header
}

// summed passes bytes on and sums them.
type summed struct {
	r   io.Reader
	sum uint32
}

func (s *summed) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	s.sum = crc32.Update(s.sum, crc32.IEEETable, b[:n])
	return n, err
}

// Fields of a payload's head.
const (
	payloadEnd         = 0
	payloadCompression = 2
	payloadZstd        = 0
	payloadPlain       = 255
	payloadWindow      = 128 << 20 // more than the server's compressor ever asks for
)

// openPayload reads the head of the payload event that has just begun.
func (r *Reader) openPayload(h header) error {
	raw := &summed{r: r.in}
	var head [headerSize]byte
	if _, err := io.ReadFull(raw, head[:]); err != nil {
		return err
	}
	size := int64(h.size) - headerSize
	if r.crc {
		size -= crcSize
	}
	p := &payload{raw: raw, limit: &io.LimitedReader{R: raw, N: size}, outer: h}
	body := bufio.NewReaderSize(p.limit, 64<<10)
	kind, err := payloadHead(body)
	if err != nil {
		return fmt.Errorf("read a compressed transaction at %s:%d: %w", r.file, r.start, err)
	}
	switch kind {
	case payloadZstd:
		p.zstd, err = zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(payloadWindow))
		if err != nil {
			return fmt.Errorf("read a compressed transaction: %w", err)
		}
		p.plain = bufio.NewReaderSize(p.zstd, 64<<10)
	case payloadPlain:
		p.plain = body
	default:
		return r.fail(cdc.ErrUnsupported, fmt.Sprintf("a transaction compressed in way %d", kind), "set binlog_transaction_compression=OFF")
	}
	r.inner = p
	return nil
}

func payloadHead(b *bufio.Reader) (compression uint64, err error) {
	for {
		field, err := packedInt(b)
		if err != nil {
			return 0, err
		}
		if field == payloadEnd {
			return compression, nil
		}
		size, err := packedInt(b)
		if err != nil {
			return 0, err
		}
		if field != payloadCompression {
			if _, err := io.CopyN(io.Discard, b, int64(min(size, 1<<20))); err != nil {
				return 0, err
			}
			continue
		}
		if compression, err = packedInt(b); err != nil {
			return 0, err
		}
	}
}

// packedInt reads a length-encoded integer.
func packedInt(b *bufio.Reader) (uint64, error) {
	first, err := b.ReadByte()
	if err != nil {
		return 0, err
	}
	n := map[byte]int{252: 2, 253: 3, 254: 8}[first]
	if n == 0 {
		return uint64(first), nil
	}
	var buf [8]byte
	_, err = io.ReadFull(b, buf[:n])
	return binary.LittleEndian.Uint64(buf[:]), err
}

// next returns the next event inside; a nil body is the end. Events inside carry no checksum.
func (p *payload) next() (header, []byte, error) {
	var head [headerSize]byte
	if _, err := io.ReadFull(p.plain, head[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return header{}, nil, nil
		}
		return header{}, nil, fmt.Errorf("read a compressed transaction: %w: %w", cdc.ErrCorrupt, err)
	}
	h := parseHeader(head[:])
	n := int(h.size) - headerSize
	if n < 0 {
		return h, nil, errShort
	}
	body, err := readN(p.plain, p.event[:0], n)
	if err != nil {
		return h, nil, fmt.Errorf("read a compressed transaction: %w: %w", cdc.ErrCorrupt, err)
	}
	p.event = body
	if body == nil {
		body = []byte{}
	}
	return h, body, nil
}

// closePayload passes over the rest of the event and verifies its checksum.
func (r *Reader) closePayload() error {
	p := r.inner
	r.inner = nil
	if p.zstd != nil {
		p.zstd.Close()
	}
	if _, err := io.Copy(io.Discard, p.limit); err != nil {
		return err
	}
	if r.crc {
		sum := p.raw.sum
		var tail [crcSize]byte
		if _, err := io.ReadFull(r.in, tail[:]); err != nil {
			return err
		}
		if binary.LittleEndian.Uint32(tail[:]) != sum {
			return r.fail(cdc.ErrCorrupt, "a compressed transaction's checksum does not match", "")
		}
	}
	return r.in.finish()
}
