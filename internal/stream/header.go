package stream

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Names of the headers. Their values are unsigned integers, big-endian, without leading zero bytes (zero
// is one zero byte): seven bytes for a Seq that began as a time in microseconds, one or two for an index.
const (
	HeaderSeq   = "cdc.seq"   // the unit that the record belongs to
	HeaderIdx   = "cdc.idx"   // the event's index in the unit, from 0; a tombstone repeats its delete's
	HeaderFlags = "cdc.flags" // change.Flags, only when not zero
	HeaderBatch = "cdc.batch" // 32 bits of the id of the progress record that it belongs to
)

// appendUint writes v in the headers' form.
func appendUint(b []byte, v uint64) []byte {
	if v == 0 {
		return append(b, 0)
	}
	var full [8]byte
	binary.BigEndian.PutUint64(full[:], v)
	i := 0
	for full[i] == 0 {
		i++
	}
	return append(b, full[i:]...)
}

// decodeUint reads the headers' form; it refuses what appendUint does not write.
func decodeUint(b []byte) (uint64, error) {
	if len(b) == 0 || len(b) > 8 || (b[0] == 0 && len(b) > 1) {
		return 0, fmt.Errorf("%d bytes %x are no integer without leading zeros", len(b), b[:min(len(b), 8)])
	}
	var v uint64
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v, nil
}

// place is what the headers say about a data record.
type place struct {
	seq   change.Seq
	idx   uint64
	flags change.Flags
	batch uint32 // 0: not said, as by earlier versions
}

// batchOf is what the headers say of a progress record's id. A log that lost its tail gives the same offsets and
// the same Seq again, and may hold as many records there: only an id tells which batch they are of.
func batchOf(id string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // it never fails
	return max(1, h.Sum32())
}

// encodeHeaders makes the headers of a data record, the caller's own ones after ours.
func encodeHeaders(p place, extra []Header) []Header {
	buf := make([]byte, 0, 22)
	hs := make([]Header, 0, 4+len(extra))
	put := func(name string, v uint64) {
		n := len(buf)
		buf = appendUint(buf, v)
		hs = append(hs, Header{Key: name, Value: buf[n:len(buf):len(buf)]})
	}
	put(HeaderSeq, uint64(p.seq))
	put(HeaderIdx, p.idx)
	if p.flags != 0 {
		put(HeaderFlags, uint64(p.flags))
	}
	if p.batch != 0 {
		put(HeaderBatch, uint64(p.batch))
	}
	return append(hs, extra...)
}

// decodeHeaders reads them back; a record without cdc.seq or cdc.idx was not written by a Writer.
func decodeHeaders(hs []Header) (place, error) {
	var p place
	var seen int
	for i := range hs {
		var v uint64
		var err error
		switch h := &hs[i]; h.Key {
		case HeaderSeq:
			v, err = decodeUint(h.Value)
			p.seq, seen = change.Seq(v), seen|1
		case HeaderIdx:
			p.idx, err = decodeUint(h.Value)
			seen |= 2
		case HeaderFlags:
			if v, err = decodeUint(h.Value); err == nil && v > 255 {
				err = fmt.Errorf("%d is no set of flags", v)
			}
			p.flags = change.Flags(v)
		case HeaderBatch:
			if v, err = decodeUint(h.Value); err == nil && v > math.MaxUint32 {
				err = fmt.Errorf("%d has more than 32 bits", v)
			}
			p.batch = uint32(v)
		}
		if err != nil {
			return place{}, fmt.Errorf("decode header %s: %w", hs[i].Key, err)
		}
	}
	if seen != 3 {
		return place{}, fmt.Errorf("decode headers: %s or %s is missing", HeaderSeq, HeaderIdx)
	}
	return p, nil
}

// Partition places a record as Kafka's own clients do: murmur2 of the key. A record without key (a table
// without one) is spread by its value; order does not depend on partitions.
func Partition(key, value []byte, partitions int32) int32 {
	if key == nil {
		key = value
	}
	return int32(murmur2(key)&0x7fffffff) % partitions
}

// murmur2 is org.apache.kafka.common.utils.Utils.murmur2.
func murmur2(b []byte) uint32 {
	const m = 0x5bd1e995
	h := uint32(0x9747b28c) ^ uint32(len(b))
	for ; len(b) >= 4; b = b[4:] {
		k := binary.LittleEndian.Uint32(b) * m
		h = h*m ^ (k^k>>24)*m
	}
	switch len(b) {
	case 3:
		h ^= uint32(b[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(b[1]) << 8
		fallthrough
	case 1:
		h = (h ^ uint32(b[0])) * m
	}
	h = (h ^ h>>13) * m
	return h ^ h>>15
}
