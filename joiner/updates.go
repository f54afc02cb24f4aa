package joiner

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/etlsandbox/cdc/schemas/change"
)

// updates are rows of a view of which both sides are known at once. They are kept encoded, in large pages:
// a fraction of the memory that the values take, and nothing in them for the garbage collector to follow.
type updates struct {
	pages [][]byte
	refs  []updateRef
	bytes int
}

// updateRef says where an update lies: its key, then its sides.
type updateRef struct {
	page          int32
	at, sides, to int32
}

const (
	updatePage    = 64 << 10
	updateRefSize = 16
)

// add takes an update; the arguments are copied.
func (u *updates) add(key []byte, old, new *side) {
	n := len(u.pages) - 1
	if n < 0 || cap(u.pages[n])-len(u.pages[n]) < cap(u.pages[n])/16 {
		n++
		u.pages = append(u.pages, make([]byte, 0, min(updatePage, 1<<(10+min(n, 6))))) // small batches need little
	}
	page := u.pages[n]
	r := updateRef{page: int32(n), at: int32(len(page)), sides: int32(len(page) + len(key))}
	page = appendSides(append(page, key...), old, new)
	r.to = int32(len(page))
	u.pages[n] = page
	u.refs = append(u.refs, r)
	u.bytes += int(r.to-r.at) + updateRefSize
}

func (u *updates) len() int { return len(u.refs) }

// cut drops all updates but the first n.
func (u *updates) cut(n int) { u.refs = u.refs[:n] }

// key is the n-th update's output key.
func (u *updates) key(n int) []byte {
	r := u.refs[n]
	return u.pages[r.page][r.at:r.sides]
}

// encoded is the n-th update's sides, as appendSides wrote them.
func (u *updates) encoded(n int) []byte {
	r := u.refs[n]
	return u.pages[r.page][r.sides:r.to]
}

// sort orders the updates by key. Walks give them nearly, often wholly sorted.
func (u *updates) sort() {
	slices.SortFunc(u.refs, func(x, y updateRef) int {
		return bytes.Compare(u.pages[x.page][x.at:x.sides], u.pages[y.page][y.at:y.sides])
	})
}

// output decodes the n-th update of a view of so many columns.
func (u *updates) output(n, width int) (Output, error) {
	old, new, err := splitSides(u.encoded(n))
	if err != nil {
		return Output{}, fmt.Errorf("read accumulated output: %w", err)
	}
	before, err := decodeSide(old, width)
	if err != nil {
		return Output{}, fmt.Errorf("read accumulated output: %w", err)
	}
	after, err := decodeSide(new, width)
	if err != nil {
		return Output{}, fmt.Errorf("read accumulated output: %w", err)
	}
	return Output{Key: change.Key(u.key(n)), Op: change.Update, Before: before.row, After: after.row, Problem: after.problem}, nil
}

// appendSides appends the length of the old side (4 bytes), then both sides.
func appendSides(b []byte, old, new *side) []byte {
	at := len(b)
	b = appendSide(append(b, 0, 0, 0, 0), old)
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return appendSide(b, new)
}

func splitSides(b []byte) (old, new []byte, err error) {
	if len(b) < 4 || uint32(len(b)-4) < binary.BigEndian.Uint32(b) {
		return nil, nil, errors.New("the sides of an update end too early")
	}
	n := 4 + binary.BigEndian.Uint32(b)
	return b[4:n], b[n:], nil
}
