package sinks

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Digest stands for a set of rows, in any order: their number, and sums over a hash of each row's text. Destinations
// compute it in their own SQL, so that rows which are equal need not be moved to be compared. Equal sets give equal
// digests wherever they are; the reverse holds but for chance (120 bits), not against somebody who wants to deceive.
type Digest struct {
	Rows int64
	// Sums of the first and the second 15 hexadecimal digits of the hashes, modulo 2^64.
	Sums [2]uint64
}

// Add takes a row in. What is hashed (MD5) is, for each column, its text behind the text's length in bytes and a colon,
// or "-" for NULL. Temporals and numbers are decimal digits (DATE in days, others in microseconds), a decimal without
// zeros at its end, FLOAT and DOUBLE the 16 hexadecimal digits of the double, binary strings in hexadecimal.
func (d *Digest) Add(row change.Row) {
	var text []byte
	for _, v := range row {
		if v.IsNull() {
			text = append(text, '-')
			continue
		}
		s := digestText(v)
		text = strconv.AppendInt(text, int64(len(s)), 10)
		text = append(append(text, ':'), s...)
	}
	h := md5.Sum(text)
	const digits15 = 1<<60 - 1
	d.Rows++
	d.Sums[0] += binary.BigEndian.Uint64(h[:8]) >> 4
	d.Sums[1] += binary.BigEndian.Uint64(h[7:15]) & digits15
}

func digestText(v change.Value) string {
	switch v.Kind() {
	case change.Uint:
		return strconv.FormatUint(v.Uint(), 10)
	case change.Float, change.Double:
		return fmt.Sprintf("%016x", math.Float64bits(v.Double()))
	case change.Decimal:
		if s := v.Text(); strings.Contains(s, ".") {
			return strings.TrimRight(strings.TrimRight(s, "0"), ".")
		}
		return v.Text()
	case change.Bytes:
		return hex.EncodeToString([]byte(v.Text()))
	case change.String, change.JSON:
		return v.Text()
	case change.Absent:
		return "(absent)" // no destination shows one
	}
	return strconv.FormatInt(v.Int(), 10)
}
