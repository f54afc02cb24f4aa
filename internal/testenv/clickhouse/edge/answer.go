package edge

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/ClickHouse/ch-go/compress"
	chproto "github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"

	"github.com/etlsandbox/cdc/internal/testenv/clickhouse/engine"
)

// answer sends a result as the client asked for it.
func (s *Server) answer(w http.ResponseWriter, req *request, out []byte, st engine.Stats) error {
	var err error
	if req.format == "Native" && req.revision > 0 && len(out) > 0 {
		if out, err = reencode(out, req.revision); err != nil {
			return fmt.Errorf("encode the result for revision %d: %w", req.revision, err)
		}
	}
	if req.blocks != "" && len(out) > 0 {
		if out, err = compressBlocks(out, req.blocks); err != nil {
			return err
		}
	}
	summary, err := json.Marshal(summaryOf(st))
	if err != nil {
		return fmt.Errorf("write the summary: %w", err)
	}
	h := w.Header()
	h.Set("X-ClickHouse-Summary", string(summary))
	h.Set("X-ClickHouse-Format", req.format)
	h.Set("Content-Type", "application/octet-stream")
	if !req.gzip || len(out) == 0 {
		s.send(w, out)
		return nil
	}
	h.Set("Content-Encoding", "gzip")
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(out); err != nil {
		return fmt.Errorf("compress the answer: %w", err)
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("compress the answer: %w", err)
	}
	s.send(w, b.Bytes())
	return nil
}

func (s *Server) send(w http.ResponseWriter, out []byte) {
	if _, err := w.Write(out); err != nil {
		s.Log.Debug("the client does not read its answer", "err", err)
	}
}

// summaryOf is the X-ClickHouse-Summary header: numbers as text, as the
// server writes them.
func summaryOf(st engine.Stats) map[string]string {
	n := func(v uint64) string { return strconv.FormatUint(v, 10) }
	return map[string]string{
		"read_rows": n(st.ReadRows), "read_bytes": n(st.ReadBytes),
		"written_rows": n(st.WrittenRows), "written_bytes": n(st.WrittenBytes),
		"total_rows_to_read": "0", "result_rows": n(st.ResultRows), "result_bytes": n(st.ResultBytes),
	}
}

// reencode writes native blocks of revision 0, which is what the engine
// gives, for the revision that the client reads.
func reencode(in []byte, revision uint64) ([]byte, error) {
	rd := chproto.NewReader(bytes.NewReader(in))
	var out chproto.Buffer
	for {
		b := proto.NewBlock()
		b.ServerContext = &column.ServerContext{Revision: revision, VersionMajor: 26, VersionMinor: 7, Timezone: time.UTC}
		if err := b.Decode(rd, 0); err != nil {
			if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				return out.Buf, nil
			}
			return nil, err
		}
		if err := b.Encode(&out, revision); err != nil {
			return nil, err
		}
	}
}

// compressBlocks frames bytes as the native protocol does.
func compressBlocks(in []byte, method string) ([]byte, error) {
	m := compress.LZ4
	if method == "ZSTD" {
		m = compress.ZSTD
	}
	const frame = 1 << 20
	cw := compress.NewWriter(0, m)
	var out []byte
	for len(in) > 0 {
		n := min(len(in), frame)
		if err := cw.Compress(in[:n]); err != nil {
			return nil, fmt.Errorf("compress the result: %w", err)
		}
		out, in = append(out, cw.Data...), in[n:]
	}
	return out, nil
}
