package memstate

import "errors"

// Scratch keeps bytes in memory. It implements joiner.Scratch.
type Scratch struct {
	m      sorted[[]byte]
	closed bool
}

// NewScratch returns an empty scratch store.
func NewScratch() *Scratch { return &Scratch{m: sorted[[]byte]{m: map[string][]byte{}}} }

var errClosed = errors.New("the scratch store is closed")

// Set implements joiner.Scratch.
func (s *Scratch) Set(key, value []byte) error {
	if s.closed {
		return errClosed
	}
	s.m.set(string(key), append([]byte(nil), value...))
	return nil
}

// Get implements joiner.Scratch.
func (s *Scratch) Get(key []byte) (value []byte, ok bool, err error) {
	if s.closed {
		return nil, false, errClosed
	}
	value, ok = s.m.m[string(key)]
	return value, ok, nil
}

// Range implements joiner.Scratch.
func (s *Scratch) Range(lo, hi []byte, yield func(key, value []byte) bool) error {
	if s.closed {
		return errClosed
	}
	for _, k := range s.m.between(string(lo), string(hi), hi != nil) {
		if !yield([]byte(k), s.m.m[k]) {
			return nil
		}
	}
	return nil
}

// Close implements joiner.Scratch.
func (s *Scratch) Close() error {
	if s.closed {
		return errClosed
	}
	s.closed = true
	return nil
}
