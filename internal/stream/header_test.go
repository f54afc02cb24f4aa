package stream

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"

	"github.com/etlsandbox/cdc/schemas/change"
)

func TestHeaders(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := place{
			seq: change.Seq(rapid.Uint64().Draw(t, "seq")), idx: rapid.Uint64().Draw(t, "idx"),
			flags: change.Flags(rapid.Byte().Draw(t, "flags")), batch: rapid.Uint32().Draw(t, "batch"),
		}
		extra := []Header{{Key: "traceparent", Value: []byte("00-1")}}
		hs := encodeHeaders(want, extra)
		got, err := decodeHeaders(hs)
		if err != nil || got != want {
			t.Fatalf("%+v became %+v, %v", want, got, err)
		}
		if last := hs[len(hs)-1]; last.Key != "traceparent" {
			t.Fatalf("the last header is %s", last.Key)
		}
	})
	if hs := encodeHeaders(place{seq: 1<<52 + 5, idx: 300}, nil); len(hs) != 2 || len(hs[0].Value) != 7 || len(hs[1].Value) != 2 {
		t.Errorf("the headers are not compact: %v", hs)
	}
}

func FuzzHeaders(f *testing.F) {
	f.Add([]byte{1}, []byte{0}, []byte{1}, true)
	f.Add([]byte{}, []byte{0, 1}, []byte{1, 0, 0, 0, 0, 0, 0, 0, 0}, false)
	f.Fuzz(func(t *testing.T, seq, idx, flags []byte, withFlags bool) {
		hs := []Header{{"x", nil}, {HeaderSeq, seq}, {HeaderIdx, idx}}
		if withFlags {
			hs = append(hs, Header{HeaderFlags, flags})
		}
		p, err := decodeHeaders(hs)
		if err != nil {
			return
		}
		// What is accepted is exactly what would be written.
		if !bytes.Equal(appendUint(nil, uint64(p.seq)), seq) || !bytes.Equal(appendUint(nil, p.idx), idx) {
			t.Errorf("%x %x was read as %+v", seq, idx, p)
		}
		if withFlags && !bytes.Equal(appendUint(nil, uint64(p.flags)), flags) {
			t.Errorf("flags %x were read as %d", flags, p.flags)
		}
	})
}

func TestForeignHeaders(t *testing.T) {
	for name, hs := range map[string][]Header{
		"none":            nil,
		"no idx":          {{HeaderSeq, []byte{1}}},
		"no seq":          {{HeaderIdx, []byte{1}}},
		"empty":           {{HeaderSeq, nil}, {HeaderIdx, []byte{1}}},
		"leading zero":    {{HeaderSeq, []byte{0, 1}}, {HeaderIdx, []byte{1}}},
		"too long":        {{HeaderSeq, make([]byte, 9)}, {HeaderIdx, []byte{1}}},
		"flags too large": {{HeaderSeq, []byte{1}}, {HeaderIdx, []byte{1}}, {HeaderFlags, []byte{1, 0}}},
		"batch too large": {{HeaderSeq, []byte{1}}, {HeaderIdx, []byte{1}}, {HeaderBatch, []byte{1, 0, 0, 0, 0}}},
	} {
		if p, err := decodeHeaders(hs); err == nil {
			t.Errorf("%s: read as %+v", name, p)
		}
	}
}

func TestPartition(t *testing.T) {
	theirs := kgo.StickyKeyPartitioner(nil).ForTopic("t")
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOf(rapid.Byte()).Draw(t, "key")
		n := rapid.IntRange(1, 50).Draw(t, "partitions")
		if key == nil {
			key = []byte{}
		}
		if got, want := Partition(key, nil, int32(n)), theirs.Partition(&kgo.Record{Key: key}, n); int(got) != want {
			t.Fatalf("key %x of %d: %d, Kafka says %d", key, n, got, want)
		}
	})
	seen := map[int32]bool{}
	for i := range uint32(100) {
		seen[Partition(nil, binary.BigEndian.AppendUint32(nil, i), 4)] = true
	}
	if len(seen) != 4 {
		t.Errorf("records without key go to %d of 4 partitions", len(seen))
	}
}
