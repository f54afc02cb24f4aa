package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// This file knows how kfake keeps a partition: files BASE.dat hold Kafka's record batches one after the
// other, files BASE.idx one entry of fifteen bytes for each. The version of kfake is pinned in go.mod; the
// tests of this package fail if a later one keeps them otherwise.

const (
	batchHeader = 61 // bytes of a record batch before its records
	indexEntry  = 15
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// batch is what the header of a record batch says.
type batch struct {
	first, last int64 // offsets
	size        int64
	leaderEpoch int32
	maxTime     int64
	producer    producer
	inTx        bool // data of a transaction
	control     bool
}

// producer names one transaction: clients of today bump the epoch with each.
type producer struct {
	id    int64
	epoch int16
}

func decodeHeader(h []byte) (batch, bool) {
	size := int64(int32(binary.BigEndian.Uint32(h[8:]))) + 12
	if size < batchHeader || h[16] != 2 {
		return batch{}, false
	}
	attributes := binary.BigEndian.Uint16(h[21:])
	b := batch{first: int64(binary.BigEndian.Uint64(h)), size: size}
	b.leaderEpoch = int32(binary.BigEndian.Uint32(h[12:]))
	b.last = b.first + int64(int32(binary.BigEndian.Uint32(h[23:])))
	b.maxTime = int64(binary.BigEndian.Uint64(h[35:]))
	b.producer = producer{int64(binary.BigEndian.Uint64(h[43:])), int16(binary.BigEndian.Uint16(h[51:]))}
	b.control = attributes&0x20 != 0
	b.inTx = attributes&0x10 != 0 && !b.control
	return b, true
}

// segments lists the base offsets of a partition's segment files, in order.
func segments(dir string) ([]int64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list segments: %w", err)
	}
	var bases []int64
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".dat"); ok {
			if base, err := strconv.ParseInt(name, 10, 64); err == nil {
				bases = append(bases, base)
			}
		}
	}
	slices.Sort(bases)
	return bases, nil
}

func dataFile(dir string, base int64) string  { return filepath.Join(dir, fmt.Sprintf("%d.dat", base)) }
func indexFile(dir string, base int64) string { return filepath.Join(dir, fmt.Sprintf("%d.idx", base)) }

// scanSegment hands over the batches of a file and, of control batches, whether they commit. It stops at the
// first that is torn, and returns how many bytes are whole.
func scanSegment(path string, each func(b batch, commit bool)) (whole, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, fmt.Errorf("open segment: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, 0, fmt.Errorf("open segment: %w", err)
	}
	if whole, err = scan(f, info.Size(), each); err != nil {
		return 0, 0, fmt.Errorf("read segment %s: %w", path, err)
	}
	return whole, info.Size(), nil
}

func scan(f io.ReaderAt, size int64, each func(b batch, commit bool)) (whole int64, err error) {
	// Small batches stand close together: a read of its own for each would be most of a start's time.
	room := make([]byte, 64<<10)
	at, filled := int64(0), 0
	for whole < size {
		if have := at + int64(filled) - whole; have < batchHeader+64 && at+int64(filled) < size {
			n, err := f.ReadAt(room, whole)
			if err != nil && !errors.Is(err, io.EOF) {
				return whole, fmt.Errorf("at byte %d: %w", whole, err)
			}
			at, filled = whole, n
		}
		if whole-at+batchHeader > int64(filled) {
			break
		}
		buf := room[whole-at : filled]
		n := min(len(buf), batchHeader+64)
		b, ok := decodeHeader(buf)
		if !ok || whole+b.size > size {
			break
		}
		// The end of the file is where a crash tears.
		if whole+b.size == size && !checksum(f, whole, b.size) {
			break
		}
		each(b, b.control && commits(buf[batchHeader:n]))
		whole += b.size
	}
	return whole, nil
}

func checksum(f io.ReaderAt, at, size int64) bool {
	raw := make([]byte, size)
	if _, err := f.ReadAt(raw, at); err != nil {
		return false
	}
	return crc32.Checksum(raw[21:], castagnoli) == binary.BigEndian.Uint32(raw[17:])
}

// commits decodes the one record of a control batch.
func commits(records []byte) bool {
	var r kmsg.Record
	if err := r.ReadFrom(records); err != nil || len(r.Key) < 4 {
		return false
	}
	return binary.BigEndian.Uint16(r.Key[2:]) == uint16(kmsg.ControlRecordKeyTypeCommit)
}

// marker makes the control batch that ends a transaction.
func marker(p producer, commit bool, at int64, leaderEpoch int32, now time.Time) []byte {
	key := kmsg.ControlRecordKey{Type: kmsg.ControlRecordKeyTypeAbort}
	if commit {
		key.Type = kmsg.ControlRecordKeyTypeCommit
	}
	end := kmsg.EndTxnMarker{}
	rec := kmsg.Record{Key: key.AppendTo(nil), Value: end.AppendTo(nil)}
	rec.Length = int32(len(rec.AppendTo(nil)) - 1)
	b := kmsg.RecordBatch{
		FirstOffset: at, PartitionLeaderEpoch: leaderEpoch, Magic: 2, Attributes: 0x30,
		FirstTimestamp: now.UnixMilli(), MaxTimestamp: now.UnixMilli(),
		ProducerID: p.id, ProducerEpoch: p.epoch, FirstSequence: -1, NumRecords: 1, Records: rec.AppendTo(nil),
	}
	raw := b.AppendTo(nil)
	b.Length = int32(len(raw) - 12)
	b.CRC = int32(crc32.Checksum(raw[21:], castagnoli))
	return b.AppendTo(nil)
}

// appendIndex adds a batch's entry to the content of an index file.
func appendIndex(to []byte, b batch, maxEarlier int64) []byte {
	var e [indexEntry]byte
	e[0] = keptVersion
	binary.LittleEndian.PutUint32(e[2:], uint32(b.leaderEpoch))
	binary.LittleEndian.PutUint64(e[6:], uint64(maxEarlier))
	if b.inTx {
		e[14] = 1
	}
	e[1] = byte(crc32.Checksum(e[2:], castagnoli))
	return append(to, e[:]...)
}
