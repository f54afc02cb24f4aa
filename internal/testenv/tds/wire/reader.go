package wire

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"
)

// errShort is a message that ends too early.
var errShort = errors.New("the message ends in the middle of a value")

// Reader reads the fields of a message. After a failure every further read returns zero values; Err tells the first.
type Reader struct {
	r   *bufio.Reader
	err error
}

// NewReader reads fields from r.
func NewReader(r io.Reader) *Reader { return &Reader{r: bufio.NewReaderSize(r, 16<<10)} }

// Err is the first failure.
func (r *Reader) Err() error { return r.err }

func (r *Reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

// largest is the biggest value that a client may send; SQL Server's own limit is 2 GiB.
const largest = 1 << 28

// bytes reads n bytes. It grows with what really arrives, so that a length that lies costs nothing.
func (r *Reader) bytes(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n < 0 || n > largest {
		r.fail("read a value of %d bytes: at most %d are taken", n, largest)
		return nil
	}
	const step = 1 << 20
	var out []byte
	for len(out) < n {
		at := len(out)
		out = append(out, make([]byte, min(step, n-at))...)
		if _, err := io.ReadFull(r.r, out[at:]); err != nil {
			r.err = errShort
			return nil
		}
	}
	return out
}

func (r *Reader) u8() byte {
	if r.err != nil {
		return 0
	}
	b, err := r.r.ReadByte()
	if err != nil {
		r.err = errShort
	}
	return b
}

func (r *Reader) fixed(n int) []byte {
	if b := r.bytes(n); b != nil {
		return b
	}
	return make([]byte, n)
}

func (r *Reader) u16() uint16 { return binary.LittleEndian.Uint16(r.fixed(2)) }
func (r *Reader) u32() uint32 { return binary.LittleEndian.Uint32(r.fixed(4)) }
func (r *Reader) u64() uint64 { return binary.LittleEndian.Uint64(r.fixed(8)) }

// More reports whether bytes are left.
func (r *Reader) More() bool {
	if r.err != nil {
		return false
	}
	_, err := r.r.Peek(1)
	return err == nil
}

// short reads text whose length in units is one byte.
func (r *Reader) short() string { return r.text(int(r.u8()) * 2) }

func (r *Reader) text(n int) string {
	s, err := fromUTF16(r.bytes(n))
	if err != nil && r.err == nil {
		r.err = err
	}
	return s
}

// transactionHeader is the kind of header that names the client's transaction.
const transactionHeader = 2

// Headers reads the ALL_HEADERS block of a request and returns the transaction that it belongs to, 0 for none.
func (r *Reader) Headers() (transaction uint64) {
	n := r.u32()
	if n < 4 || n > 64<<10 {
		r.fail("read the headers of a request: they say %d bytes", n)
		return 0
	}
	for block := r.bytes(int(n) - 4); len(block) > 0; {
		if len(block) < 6 {
			r.fail("read the headers of a request: %d bytes are left of one", len(block))
			return 0
		}
		size, kind := binary.LittleEndian.Uint32(block), binary.LittleEndian.Uint16(block[4:])
		if size < 6 || int64(size) > int64(len(block)) {
			r.fail("read the headers of a request: one says %d bytes", size)
			return 0
		}
		if kind == transactionHeader && size >= 14 {
			transaction = binary.LittleEndian.Uint64(block[6:])
		}
		block = block[size:]
	}
	return transaction
}

// Rest reads text to the end of the message, as a batch's text runs.
func (r *Reader) Rest() string {
	if r.err != nil {
		return ""
	}
	b, err := io.ReadAll(io.LimitReader(r.r, largest+1))
	if err != nil {
		r.err = err
		return ""
	}
	if len(b) > largest {
		r.fail("read a text: it is longer than %d bytes", largest)
		return ""
	}
	s, err := fromUTF16(b)
	if err != nil {
		r.err = err
	}
	return s
}

// fromUTF16 decodes UTF-16LE. Half a surrogate pair is an error: SQL Server would keep it, PostgreSQL cannot.
func fromUTF16(b []byte) (string, error) {
	if len(b)%2 != 0 {
		return "", errors.New("read UTF-16 text: it has half a unit")
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	for i := 0; i < len(units); i++ {
		switch u := units[i]; {
		case u >= 0xdc00 && u < 0xe000:
			return "", fmt.Errorf("read UTF-16 text: unit %#x at %d is half a surrogate pair, which the double cannot keep", u, i)
		case u >= 0xd800 && u < 0xdc00:
			if i+1 == len(units) || units[i+1] < 0xdc00 || units[i+1] >= 0xe000 {
				return "", fmt.Errorf("read UTF-16 text: unit %#x at %d is half a surrogate pair, which the double cannot keep", u, i)
			}
			i++
		}
	}
	return string(utf16.Decode(units)), nil
}

// UTF16 encodes text as UTF-16LE.
func UTF16(s string) []byte {
	out := make([]byte, 0, 2*len(s))
	for _, r := range s {
		if r < 0x10000 {
			out = binary.LittleEndian.AppendUint16(out, uint16(r))
			continue
		}
		a, b := utf16.EncodeRune(r)
		out = binary.LittleEndian.AppendUint16(out, uint16(a))
		out = binary.LittleEndian.AppendUint16(out, uint16(b))
	}
	return out
}

// Units is the length of text in UTF-16 units.
func Units(s string) int {
	n := 0
	for _, r := range s {
		n++
		if r >= 0x10000 {
			n++
		}
	}
	return n
}
