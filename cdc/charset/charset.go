// Package charset turns text in MySQL's character sets into UTF-8, exactly as the server's own
// conversion does; what the server cannot have stored is an error, never a replacement character.
package charset

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// ErrInvalid says that bytes are not text of their character set.
var ErrInvalid = errors.New("bytes are not valid in the column's character set")

// Decoder appends src to dst as UTF-8.
type Decoder func(dst, src []byte) ([]byte, error)

// Of returns the decoder of a character set by MySQL's name; ok is false when it is not supported.
// Whether its text is UTF-8 already is for IsUTF8 to say. A Decoder is not for concurrent use.
func Of(name string) (d Decoder, ok bool) {
	switch name {
	case "utf8", "utf8mb3", "utf8mb4", "ascii", "binary":
		return decodeUTF8, true
	case "ucs2", "utf16":
		return decodeUTF16(false), true
	case "utf16le":
		return decodeUTF16(true), true
	case "utf32":
		return decodeUTF32, true
	}
	if m := singleByte(name); m != nil {
		return m.decoder(name), true
	}
	if m, ok := multiByte(name); ok {
		return m.decode, true
	}
	return nil, false
}

// IsUTF8 reports whether text of the character set needs no conversion.
func IsUTF8(name string) bool {
	switch name {
	case "utf8", "utf8mb3", "utf8mb4", "ascii", "binary":
		return true
	}
	return false
}

func decodeUTF8(dst, src []byte) ([]byte, error) {
	if !utf8.Valid(src) {
		return dst, ErrInvalid
	}
	return append(dst, src...), nil
}

// table maps a byte to its character; utf8.RuneError marks bytes without one.
type table [256]rune

func singleByte(name string) *table {
	high := upper(name)
	if high == "" {
		return nil
	}
	var t table
	for i := range utf8.RuneSelf {
		t[i] = rune(i)
	}
	i := utf8.RuneSelf
	for _, r := range high {
		t[i] = r
		i++
	}
	if name == "swe7" { // seven bits, with Swedish letters in the place of brackets
		for from, to := range map[byte]rune{'@': 'É', '[': 'Ä', '\\': 'Ö', ']': 'Å', '^': 'Ü', '`': 'é', '{': 'ä', '|': 'ö', '}': 'å', '~': 'ü', 0x7f: utf8.RuneError} {
			t[from] = to
		}
	}
	return &t
}

func (t *table) decoder(name string) Decoder {
	return func(dst, src []byte) ([]byte, error) {
		for _, b := range src {
			switch r := t[b]; {
			case r < utf8.RuneSelf:
				dst = append(dst, byte(r))
			case r == utf8.RuneError:
				return dst, fmt.Errorf("%w: byte %#02x of %s", ErrInvalid, b, name)
			default:
				dst = utf8.AppendRune(dst, r)
			}
		}
		return dst, nil
	}
}

func decodeUTF16(little bool) Decoder {
	unit := func(b []byte) rune {
		if little {
			return rune(b[1])<<8 | rune(b[0])
		}
		return rune(b[0])<<8 | rune(b[1])
	}
	return func(dst, src []byte) ([]byte, error) {
		if len(src)%2 != 0 {
			return dst, ErrInvalid
		}
		for i := 0; i < len(src); i += 2 {
			r := unit(src[i:])
			if r >= 0xd800 && r < 0xe000 {
				if r >= 0xdc00 || i+4 > len(src) {
					return dst, ErrInvalid
				}
				low := unit(src[i+2:])
				if low < 0xdc00 || low >= 0xe000 {
					return dst, ErrInvalid
				}
				r = 0x10000 + (r-0xd800)<<10 + low - 0xdc00
				i += 2
			}
			dst = utf8.AppendRune(dst, r)
		}
		return dst, nil
	}
}

func decodeUTF32(dst, src []byte) ([]byte, error) {
	if len(src)%4 != 0 {
		return dst, ErrInvalid
	}
	for i := 0; i < len(src); i += 4 {
		r := rune(src[i])<<24 | rune(src[i+1])<<16 | rune(src[i+2])<<8 | rune(src[i+3])
		if !utf8.ValidRune(r) {
			return dst, ErrInvalid
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst, nil
}
