package binlog

import (
	"encoding/binary"
	"errors"
	"strconv"
)

// decimalGroup is the number of digits that four bytes hold; fewer digits take partBytes[digits] bytes.
const decimalGroup = 9

var partBytes = [decimalGroup + 1]int{0, 1, 1, 2, 2, 3, 3, 4, 4, 4}

func decimalBytes(digits, scale int) int {
	whole := digits - scale
	if whole < 0 {
		return 0
	}
	return whole/decimalGroup*4 + partBytes[whole%decimalGroup] + scale/decimalGroup*4 + partBytes[scale%decimalGroup]
}

var errDecimal = errors.New("is not a decimal in the server's format")

// appendDecimal appends the canonical text of a decimal in the server's binary format: groups of nine
// digits in four big-endian bytes, a shorter group first (whole part) and last (fraction), the first bit
// inverted, and all bits inverted of a negative number.
func appendDecimal(dst, b []byte, digits, scale int) ([]byte, error) {
	if len(b) == 0 {
		return dst, errDecimal
	}
	var flip uint32
	if b[0]&0x80 == 0 {
		flip = ^uint32(0)
	}
	start := len(dst)
	if flip != 0 {
		dst = append(dst, '-')
	}
	whole := digits - scale
	zero := true
	first := true // the first byte carries the sign
	group := func(n int) (uint32, bool) {
		size := partBytes[n]
		var v uint32
		switch size {
		case 1:
			v = uint32(b[0])
		case 2:
			v = uint32(binary.BigEndian.Uint16(b))
		case 3:
			v = uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2])
		default:
			v = binary.BigEndian.Uint32(b)
		}
		b = b[size:]
		if first {
			v ^= 1 << (8*size - 1)
			first = false
		}
		v = (v ^ flip) & uint32(1<<(8*size)-1)
		return v, v < pow10[n]
	}
	leading := true
	for n := whole % decimalGroup; whole > 0; n = decimalGroup {
		if n == 0 {
			n = decimalGroup
		}
		v, ok := group(n)
		if !ok {
			return dst[:start], errDecimal
		}
		whole -= n
		switch {
		case !leading:
			dst = appendDigits(dst, v, n)
		case v != 0:
			dst, leading, zero = strconv.AppendUint(dst, uint64(v), 10), false, false
		}
	}
	if leading {
		dst = append(dst, '0')
	}
	if scale > 0 {
		dst = append(dst, '.')
	}
	for scale > 0 {
		n := min(scale, decimalGroup)
		v, ok := group(n)
		if !ok {
			return dst[:start], errDecimal
		}
		scale -= n
		zero = zero && v == 0
		dst = appendDigits(dst, v, n)
	}
	if zero && flip != 0 { // never "-0"
		dst = append(dst[:start], dst[start+1:]...)
	}
	return dst, nil
}

var pow10 = [decimalGroup + 1]uint32{1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9}

// appendDigits appends v with n digits, zeros in front.
func appendDigits(b []byte, v uint32, n int) []byte {
	for n--; n >= 0; n-- {
		b = append(b, byte('0'+v/pow10[n]%10))
	}
	return b
}
