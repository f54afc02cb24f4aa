// Package charset turns text in MySQL's character sets into UTF-8, exactly as the server's own
// conversion does; what the server cannot have stored is an error, never a replacement character.
package charset

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/transform"
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
	if e := multiByte(name); e != nil {
		return decodeWith(e), true
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
	var t table
	cm := map[string]*charmap.Charmap{
		"latin1": charmap.Windows1252, "latin2": charmap.ISO8859_2, "latin5": charmap.ISO8859_9, "latin7": charmap.ISO8859_13,
		"cp850": charmap.CodePage850, "cp852": charmap.CodePage852, "cp866": charmap.CodePage866,
		"cp1250": charmap.Windows1250, "cp1251": charmap.Windows1251, "cp1256": charmap.Windows1256, "cp1257": charmap.Windows1257,
		"koi8r": charmap.KOI8R, "koi8u": charmap.KOI8U, "greek": charmap.ISO8859_7, "hebrew": charmap.ISO8859_8,
		"macroman": charmap.Macintosh, "tis620": charmap.Windows874,
	}[name]
	if cm == nil {
		return nil
	}
	for i := range t {
		t[i] = cm.DecodeByte(byte(i))
	}
	if name == "latin1" {
		// MySQL's latin1 is cp1252 with the five unassigned bytes as control characters.
		for _, b := range []byte{0x81, 0x8d, 0x8f, 0x90, 0x9d} {
			t[b] = rune(b)
		}
	}
	return &t
}

func (t *table) decoder(name string) Decoder {
	return func(dst, src []byte) ([]byte, error) {
		for _, b := range src {
			if b < utf8.RuneSelf && t[b] == rune(b) {
				dst = append(dst, b)
				continue
			}
			r := t[b]
			if r == utf8.RuneError {
				return dst, fmt.Errorf("%w: byte %#02x of %s", ErrInvalid, b, name)
			}
			dst = utf8.AppendRune(dst, r)
		}
		return dst, nil
	}
}

func multiByte(name string) encoding.Encoding {
	switch name {
	case "gbk", "gb2312":
		return simplifiedchinese.GBK
	case "gb18030":
		return simplifiedchinese.GB18030
	case "big5":
		return traditionalchinese.Big5
	case "sjis", "cp932":
		return japanese.ShiftJIS
	case "ujis", "eucjpms":
		return japanese.EUCJP
	case "euckr":
		return korean.EUCKR
	}
	return nil
}

func decodeWith(e encoding.Encoding) Decoder {
	d := e.NewDecoder()
	return func(dst, src []byte) ([]byte, error) {
		start := len(dst)
		d.Reset()
		for {
			if cap(dst)-len(dst) < 3*len(src)+utf8.UTFMax {
				dst = append(make([]byte, 0, 2*cap(dst)+3*len(src)+utf8.UTFMax), dst...)
			}
			n, took, err := d.Transform(dst[len(dst):cap(dst)], src, true)
			dst, src = dst[:len(dst)+n], src[took:]
			if errors.Is(err, transform.ErrShortDst) {
				continue
			}
			if err != nil {
				return dst, fmt.Errorf("%w: %w", ErrInvalid, err)
			}
			break
		}
		for text := dst[start:]; len(text) > 0; {
			r, size := utf8.DecodeRune(text)
			if r == utf8.RuneError {
				return dst, ErrInvalid
			}
			text = text[size:]
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
