package joiner_test

import (
	"fmt"
	"testing"

	"github.com/etlsandbox/cdc/joiner"
	"github.com/etlsandbox/cdc/joiner/internal/oracle"
	"github.com/etlsandbox/cdc/schemas/change"
)

// scanAll covers r in chunks and returns all rows; it checks that chunks leave no gap.
func (h *harness) scanAll(name string, r change.KeyRange, o joiner.ScanOptions) (map[change.Key]change.Row, int, error) {
	rows := map[change.Key]change.Row{}
	rest, chunks := r, 0
	for {
		c, err := h.e.Scan(h.state, name, rest, o)
		if err != nil {
			return nil, 0, err
		}
		chunks++
		if c.Range.HasLo != rest.HasLo || c.Range.Lo != rest.Lo {
			return nil, 0, fmt.Errorf("chunk %+v does not begin where %+v does", c.Range, rest)
		}
		last := change.Key("")
		for out, err := range c.Rows() {
			if err != nil {
				return nil, 0, err
			}
			if !c.Range.Contains(out.Key) || out.Op != change.Read || out.Before != nil {
				return nil, 0, fmt.Errorf("chunk %+v holds %+v", c.Range, out)
			}
			if last != "" && out.Key <= last {
				return nil, 0, fmt.Errorf("chunk %+v is not sorted", c.Range)
			}
			last, rows[out.Key] = out.Key, out.After
		}
		if err := c.Close(); err != nil {
			return nil, 0, err
		}
		if c.Last {
			if c.Range.HasHi != r.HasHi || c.Range.Hi != r.Hi {
				return nil, 0, fmt.Errorf("the last chunk %+v ends before %+v does", c.Range, r)
			}
			return rows, chunks, nil
		}
		if !c.Range.HasHi || c.Range.Hi <= rest.Lo && rest.HasLo {
			return nil, 0, fmt.Errorf("chunk %x..%x makes no progress from %x", c.Range.Lo, c.Range.Hi, rest.Lo)
		}
		rest.Lo, rest.HasLo = c.Range.Hi, true
	}
}

func TestScanEqualsOracle(t *testing.T) {
	t.Parallel()
	several := 0
	seeds(t, func(seed int64) error {
		h, err := newHarness(seed)
		if err != nil {
			return err
		}
		for range 40 {
			h.statement(h.src)
		}
		h.src.Commit()
		if err := h.load(); err != nil {
			return fmt.Errorf("load: %w\n%s", err, h.describe())
		}
		for _, p := range h.plans {
			want, err := oracle.Evaluate(p, h.src.Rows)
			if err != nil {
				return err
			}
			got, chunks, err := h.scanAll(p.Name, change.WholeTable(), h.scanOptions())
			if err == nil {
				err = same(got, want)
			}
			if err != nil {
				return fmt.Errorf("scan of %s: %w\n%s", p.Name, err, h.describe())
			}
			if chunks > 1 {
				several++
			}
			if err := h.scanPart(p.Name, want); err != nil {
				return fmt.Errorf("%w\n%s", err, h.describe())
			}
		}
		return nil
	})
	if several == 0 {
		t.Error("no scan had several chunks")
	}
}

func (h *harness) scanOptions() joiner.ScanOptions {
	return joiner.ScanOptions{Rows: 1 + h.r.Intn(5), Limit: h.opts.Limit, Scratch: h.opts.Scratch}
}

// scanPart scans a range between two keys, which need not be those of rows.
func (h *harness) scanPart(name string, all map[change.Key]change.Row) error {
	bound := func() change.Key {
		for k := range all {
			if h.r.Intn(3) == 0 {
				return k[:h.r.Intn(len(k)+1)]
			}
		}
		return change.Key([]byte{0, 1})
	}
	r := change.KeyRange{Lo: bound(), Hi: bound(), HasLo: h.r.Intn(3) > 0, HasHi: h.r.Intn(3) > 0}
	if !r.HasLo {
		r.Lo = ""
	}
	if !r.HasHi {
		r.Hi = ""
	}
	if r.IsEmpty() {
		return nil
	}
	want := map[change.Key]change.Row{}
	for k, row := range all {
		if r.Contains(k) {
			want[k] = row
		}
	}
	got, _, err := h.scanAll(name, r, h.scanOptions())
	if err == nil {
		err = same(got, want)
	}
	if err != nil {
		return fmt.Errorf("scan of %s %+v: %w", name, r, err)
	}
	return nil
}

// load brings the source's content into the state by covers, one table after the other.
func (h *harness) load() error {
	for _, t := range h.e.Tables() {
		if err := h.coverTable(t.Shape, change.WholeTable()); err != nil {
			return err
		}
	}
	return h.checkState()
}

// coverTable covers a range of a table as one batch that emits nothing.
func (h *harness) coverTable(t *change.Table, r change.KeyRange) error {
	b, err := h.e.Begin(h.state, joiner.Options{Emit: []string{}})
	if err != nil {
		return err
	}
	c := &change.Cover{ID: "c", Table: t.ID.String(), Range: r}
	if err := b.Cover(t.ID, c, h.chunk(t, r)); err != nil {
		return err
	}
	if err := b.Flush(h.state); err != nil {
		return err
	}
	return b.Close()
}
