package e2e

import (
	"cmp"
	"context"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/internal/stream/embedded"
	"github.com/etlsandbox/cdc/internal/stream/kafka"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// rawStream and viewStream are the streams of a scene's daemon.
const (
	rawStream  = "jupiter"
	viewStream = "jupiter-views"
)

// reopened serves the topics of a scene whose daemon is down, and returns their address and what ends that.
func (s *scene) reopened() (addr string, closeIt func()) {
	s.t.Helper()
	b, err := embedded.Open(s.t.Context(), embedded.Config{Dir: filepath.Join(s.data(), "broker"), Listen: "127.0.0.1:0"})
	if err != nil {
		s.t.Fatal(err)
	}
	return b.Addr(), sync.OnceFunc(func() {
		if err := b.Close(); err != nil {
			s.t.Errorf("close the broker: %v", err)
		}
	})
}

// history reads the committed progress records of a stream from an offset on, from the broker that listens
// at addr, and says where the topic ends.
func history(t *testing.T, addr, name string, from int64) (recs []*wire.Progress, end int64) {
	t.Helper()
	l, err := kafka.NewLog(kafka.Config{Brokers: []string{addr}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	topic := stream.ProgressTopic(name)
	bounds, err := l.Bounds(ctx, []wire.Part{{Topic: topic}})
	if err != nil {
		t.Fatal(err)
	}
	end = bounds[0].Stable
	for at := max(from, bounds[0].Start); at < end; {
		got, err := l.Read(ctx, []stream.Want{{Topic: topic, From: at, MaxBytes: 1 << 20}}, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range got[0].Records {
			p, err := wire.DecodeProgress(e.Value)
			if err != nil {
				t.Fatal(err)
			}
			recs = append(recs, p)
		}
		if got[0].Next <= at {
			t.Fatalf("%s cannot be read at offset %d", topic, at)
		}
		at = got[0].Next
	}
	return recs, end
}

// oneCover fails the test unless the records hold exactly one cover for everybody: one begin, one end of the
// same id, and of each table chunks that leave no gap and repeat nothing. It returns the number of chunks.
func oneCover(t *testing.T, name string, recs []*wire.Progress) (chunks int) {
	t.Helper()
	var begun, ended []*change.Cover
	ranges := map[string][]change.KeyRange{}
	for _, p := range recs {
		switch p.Kind {
		case change.Begin:
			begun = append(begun, p.Cover)
		case change.End:
			ended = append(ended, p.Cover)
		case change.Chunk:
			chunks++
			ranges[p.Cover.Table] = append(ranges[p.Cover.Table], p.Cover.Range)
		}
	}
	if len(begun) != 1 || len(ended) != 1 || begun[0].ID != ended[0].ID {
		t.Fatalf("%s: %d begins %+v, %d ends %+v, want one cover", name, len(begun), begun, len(ended), ended)
	}
	for _, table := range begun[0].Tables {
		rs := ranges[table]
		slices.SortFunc(rs, func(a, b change.KeyRange) int { return cmp.Compare(a.Lo, b.Lo) })
		if len(rs) == 0 || rs[0].HasLo || rs[len(rs)-1].HasHi {
			t.Errorf("%s: the chunks of %s do not reach from before every key to behind it: %+v", name, table, rs)
			continue
		}
		for i := range rs[1:] {
			if !rs[i].HasHi || !rs[i+1].HasLo || rs[i].Hi != rs[i+1].Lo {
				t.Errorf("%s: chunk %+v of %s, and then %+v: a gap, or a repetition", name, rs[i], table, rs[i+1])
			}
		}
	}
	return chunks
}
