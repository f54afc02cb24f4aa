package charset

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/transform"
)

// multi decodes a character set of one to three bytes a character: by the Go library's table, save for
// the characters that MySQL maps in another way.
type multi struct {
	library *encoding.Decoder
	// size is the length of the character that begins with a byte.
	size func(first byte) int
	// special is MySQL's own reading of a character, if it has one.
	special func(code []byte) (rune, bool)
}

func multiByte(name string) (*multi, bool) {
	switch name {
	case "gbk":
		return &multi{simplifiedchinese.GBK.NewDecoder(), double, nothing}, true
	case "gb2312":
		return &multi{simplifiedchinese.GBK.NewDecoder(), double, exceptions(map[uint16]rune{0xa1a4: 0x30fb, 0xa1aa: 0x2015})}, true
	case "euckr":
		return &multi{korean.EUCKR.NewDecoder(), double, nothing}, true
	case "sjis":
		return &multi{japanese.ShiftJIS.NewDecoder(), shifted, exceptions(map[uint16]rune{
			0x815f: '\\', 0x8160: 0x301c, 0x8161: 0x2016, 0x817c: 0x2212, 0x8191: 0xa2, 0x8192: 0xa3, 0x81ca: 0xac,
		})}, true
	case "cp932":
		return &multi{japanese.ShiftJIS.NewDecoder(), shifted, privateCP932}, true
	case "ujis":
		ours := exceptions(map[uint16]rune{0xa1c1: 0x301c, 0xa1c2: 0x2016, 0xa1dd: 0x2212, 0xa1f1: 0xa2, 0xa1f2: 0xa3, 0xa2cc: 0xac})
		return &multi{japanese.EUCJP.NewDecoder(), extended, func(code []byte) (rune, bool) {
			if r, ok := ours(code); ok {
				return r, true
			}
			return privateEUC(code)
		}}, true
	}
	return nil, false
}

func nothing([]byte) (rune, bool) { return 0, false }

func exceptions(m map[uint16]rune) func([]byte) (rune, bool) {
	return func(code []byte) (rune, bool) {
		if len(code) != 2 {
			return 0, false
		}
		r, ok := m[uint16(code[0])<<8|uint16(code[1])]
		return r, ok
	}
}

func double(first byte) int {
	if first < 0x81 {
		return 1
	}
	return 2
}

func shifted(first byte) int {
	if first >= 0x81 && first <= 0x9f || first >= 0xe0 && first <= 0xfc {
		return 2
	}
	return 1
}

func extended(first byte) int {
	switch {
	case first == 0x8f:
		return 3
	case first == 0x8e || first >= 0xa1:
		return 2
	}
	return 1
}

// privateCP932 is the user-defined area of cp932: rows f0 to f9, 188 characters each.
func privateCP932(code []byte) (rune, bool) {
	if len(code) != 2 || code[0] < 0xf0 || code[0] > 0xf9 || code[1] < 0x40 || code[1] == 0x7f || code[1] > 0xfc {
		return 0, false
	}
	n := rune(code[1]) - 0x40
	if code[1] > 0x7f {
		n--
	}
	return 0xe000 + 188*(rune(code[0])-0xf0) + n, true
}

// privateEUC is the user-defined area of ujis: rows f5 to fe of each plane, 94 characters each.
func privateEUC(code []byte) (rune, bool) {
	base := rune(0xe000)
	if len(code) == 3 {
		base, code = base+940, code[1:]
	}
	if len(code) != 2 || code[0] < 0xf5 || code[0] > 0xfe || code[1] < 0xa1 || code[1] > 0xfe {
		return 0, false
	}
	return base + 94*(rune(code[0])-0xf5) + rune(code[1]) - 0xa1, true
}

func (m *multi) decode(dst, src []byte) ([]byte, error) {
	plain := 0 // src[plain:i] is for the library
	for i := 0; i < len(src); {
		n := m.size(src[i])
		if i+n > len(src) {
			return dst, ErrInvalid
		}
		r, ok := m.special(src[i : i+n])
		if n > 1 && ok {
			var err error
			if dst, err = m.transform(dst, src[plain:i]); err != nil {
				return dst, err
			}
			dst = utf8.AppendRune(dst, r)
			plain = i + n
		}
		i += n
	}
	return m.transform(dst, src[plain:])
}

func (m *multi) transform(dst, src []byte) ([]byte, error) {
	start := len(dst)
	m.library.Reset()
	for len(src) > 0 {
		if cap(dst)-len(dst) < 3*len(src)+utf8.UTFMax {
			dst = append(make([]byte, 0, 2*cap(dst)+3*len(src)+utf8.UTFMax), dst...)
		}
		n, took, err := m.library.Transform(dst[len(dst):cap(dst)], src, true)
		dst, src = dst[:len(dst)+n], src[took:]
		if err != nil && !errors.Is(err, transform.ErrShortDst) {
			return dst, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
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
