package tsql

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// ParseName takes the name of an object apart, as OBJECT_ID and the like do: parts between dots, each of them bare
// or in brackets or quotation marks. Keywords need no quotation here.
func ParseName(text string) (Name, error) {
	bad := fmt.Errorf("%q is not a name of one to three parts", text)
	if !utf8.ValidString(text) {
		return nil, bad
	}
	var n Name
	for rest := strings.TrimSpace(text); ; {
		part, after, ok := namePart(rest)
		if !ok {
			return nil, bad
		}
		n = append(n, part)
		if after == "" {
			break
		}
		if after[0] != '.' {
			return nil, bad
		}
		rest = after[1:]
	}
	if len(n) > 3 || n.Last() == "" {
		return nil, bad
	}
	return n, nil
}

// namePart takes the first part off a name.
func namePart(s string) (part, after string, ok bool) {
	if s == "" || s[0] != '[' && s[0] != '"' {
		end := strings.IndexByte(s, '.')
		if end < 0 {
			end = len(s)
		}
		part = strings.TrimSpace(s[:end])
		return part, s[end:], !strings.ContainsAny(part, `[]"`)
	}
	end := byte(']')
	if s[0] == '"' {
		end = '"'
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		if s[i] != end {
			b.WriteByte(s[i])
			continue
		}
		if i+1 < len(s) && s[i+1] == end {
			b.WriteByte(end)
			i++
			continue
		}
		return b.String(), strings.TrimSpace(s[i+1:]), true
	}
	return "", "", false
}
