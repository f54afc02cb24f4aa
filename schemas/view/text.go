package view

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/etlsandbox/cdc/schemas/change"
)

// appendValueText appends a value in the servers' text form; i describes the expression it came from.
func appendValueText(b []byte, v change.Value, i *base) []byte {
	switch v.Kind() {
	case change.Int:
		return strconv.AppendInt(b, v.Int(), 10)
	case change.Uint:
		return strconv.AppendUint(b, v.Uint(), 10)
	case change.Date, change.Time, change.Datetime, change.Timestamp, change.Year:
		return appendTemporal(b, v, i.typ.Scale)
	}
	return append(b, v.Text()...)
}

// textOperand refuses operands whose text form the servers do not agree on.
func textOperand(n node) error {
	i := n.info()
	switch {
	case i.class == classNull:
		return refuse("leave the NULL out", "NULL as an operand of a text function")
	case i.class == classDouble:
		return refuse("CAST it to DECIMAL where it is stored", "%s: the text of a floating point number is not exact", describe(n))
	case i.class == classOpaque || i.class == classBit:
		return refuse("select the column as it is", "%s of type %s has no text form here", n.String(), i.typ.Name)
	case i.quotient || i.negativeZero:
		return whole(n)
	case i.loose:
		return refuse("CAST it to DECIMAL(p,s) or round it", "%s: its number of digits after the point depends on the row", n.String())
	}
	return nil
}

// joinText merges operands of CONCAT and the like into one text type. All binary strings, or none.
func joinText(args []node) (base, error) {
	out := base{class: classString}
	var t textType
	length := 0
	for k, n := range args {
		if err := textOperand(n); err != nil {
			return out, err
		}
		i := n.info()
		if k == 0 {
			t = textTypeOf(i)
		} else {
			if (i.class == classBytes) != (args[0].info().class == classBytes) {
				return out, refuse("CAST one side: CAST(x AS CHAR) or CAST(x AS BINARY)", "text and binary strings are mixed")
			}
			var err error
			if t, err = t.merge(textTypeOf(i), false); err != nil {
				return out, err
			}
		}
		length += i.textLength()
		out.null = out.null || n.Nullable()
	}
	out.der, out.ascii = t.der, t.ascii
	out.typ = typeText(length, t.charset, t.collation)
	if args[0].info().class == classBytes {
		out.class, out.typ = classBytes, typeBytes(length)
	}
	return out, nil
}

func textValue(b []byte, c class) change.Value {
	if c == classBytes {
		return change.BytesValue(b)
	}
	return change.StringValue(string(b))
}

func callText(name string, args []node) string {
	texts := make([]string, len(args))
	for i, n := range args {
		texts[i] = n.String()
	}
	return name + "(" + strings.Join(texts, ", ") + ")"
}

// concat is CONCAT and, with a separator, CONCAT_WS.
type concat struct {
	base
	sep  node // nil of CONCAT
	args []node
}

func newConcat(args []node) (node, error) {
	if len(args) == 0 {
		return nil, refuse("give it arguments", "CONCAT without arguments")
	}
	out, err := joinText(args)
	out.text = callText("CONCAT", args)
	return &concat{out, nil, args}, err
}

func newConcatWS(args []node) (node, error) {
	if len(args) < 2 {
		return nil, refuse("CONCAT_WS(separator, a, b, ...)", "CONCAT_WS needs a separator and an argument")
	}
	out, err := joinText(args)
	out.text = callText("CONCAT_WS", args)
	out.null = args[0].Nullable()
	if n := out.typ.Length; n > 0 {
		out.typ = typeText(n+len(args)*args[0].info().textLength(), out.typ.Charset, out.typ.Collation)
		if out.class == classBytes {
			out.typ = typeBytes(out.typ.Length)
		}
	}
	return &concat{out, args[0], args[1:]}, err
}

// Eval joins the parts: CONCAT is NULL when one is, CONCAT_WS leaves NULLs out.
func (e *concat) Eval(t Tuple) (change.Value, error) {
	var buf [128]byte
	out := buf[:0]
	var sep change.Value
	if e.sep != nil {
		var err error
		if sep, err = e.sep.Eval(t); err != nil || sep.IsNull() {
			return change.Value{}, err
		}
	}
	first := true
	for _, n := range e.args {
		v, err := n.Eval(t)
		if err != nil {
			return change.Value{}, err
		}
		if v.IsNull() {
			if e.sep == nil {
				return change.Value{}, nil
			}
			continue
		}
		if e.sep != nil && !first {
			out = appendValueText(out, sep, e.sep.info())
		}
		first = false
		out = appendValueText(out, v, n.info())
	}
	return textValue(out, e.class), nil
}

// letterCase is UPPER or LOWER.
type letterCase struct {
	base
	arg node
	m   *runeMap
}

func newLetterCase(name string, arg node) (node, error) {
	i := arg.info()
	if !i.isText() {
		return nil, refuse("CAST it to CHAR", "%s of %s", name, describe(arg))
	}
	upper, lower := caseMaps(i.typ.Collation)
	if upper == nil {
		return nil, refuse("name another: "+name+"(x COLLATE "+i.typ.Charset+"_bin)",
			"%s under the collation %s is not proven equal to the servers'", name, i.typ.Collation)
	}
	m := upper
	if name == "LOWER" {
		m = lower
	}
	out := *i
	out.class, out.typ = classString, typeText(i.textLength(), i.typ.Charset, i.typ.Collation)
	out.text, out.isLit, out.lit = name+"("+arg.String()+")", false, change.Value{}
	return &letterCase{out, arg, m}, nil
}

// Eval maps letter by letter.
func (e *letterCase) Eval(t Tuple) (change.Value, error) {
	v, err := e.arg.Eval(t)
	if err != nil || v.IsNull() {
		return v, err
	}
	return change.StringValue(mapCase(e.m, v.Text())), nil
}

// trimSide says which ends TRIM cuts.
type trimSide uint8

const (
	trimLeading trimSide = 1 << iota
	trimTrailing
	trimBoth = trimLeading | trimTrailing
)

// trim is TRIM, LTRIM or RTRIM.
type trim struct {
	base
	arg, cut node // cut is nil for a space
	sides    trimSide
}

func newTrim(arg, cut node, sides trimSide) (node, error) {
	i := arg.info()
	if !i.isText() && i.class != classBytes || cut != nil && !cut.info().isText() && cut.info().class != classBytes {
		return nil, refuse("CAST it to CHAR", "TRIM of %s", describe(arg))
	}
	out := *i
	out.class, out.typ = classString, typeText(i.textLength(), i.typ.Charset, i.typ.Collation)
	if i.class == classBytes {
		out.class, out.typ = classBytes, typeBytes(i.textLength())
	}
	out.isLit, out.lit = false, change.Value{}
	words := map[trimSide]string{trimLeading: "LEADING ", trimTrailing: "TRAILING ", trimBoth: "BOTH "}
	if cut == nil {
		out.text = "TRIM(" + words[sides] + "FROM " + arg.String() + ")"
		return &trim{out, arg, nil, sides}, nil
	}
	t, err := compareText(i, cut.info())
	if err != nil {
		return nil, err
	}
	out.typ.Charset, out.typ.Collation, out.der, out.ascii = t.charset, t.collation, t.der, i.ascii && cut.info().ascii
	out.null = arg.Nullable() || cut.Nullable()
	out.text = "TRIM(" + words[sides] + cut.String() + " FROM " + arg.String() + ")"
	return &trim{out, arg, cut, sides}, nil
}

// Eval cuts every repetition, byte by byte: no collation takes part.
func (e *trim) Eval(t Tuple) (change.Value, error) {
	v, err := e.arg.Eval(t)
	if err != nil || v.IsNull() {
		return change.Value{}, err
	}
	cut := " "
	if e.cut != nil {
		c, err := e.cut.Eval(t)
		if err != nil || c.IsNull() {
			return change.Value{}, err
		}
		cut = c.Text()
	}
	s := v.Text()
	if cut != "" {
		for e.sides&trimLeading != 0 && strings.HasPrefix(s, cut) {
			s = s[len(cut):]
		}
		for e.sides&trimTrailing != 0 && strings.HasSuffix(s, cut) {
			s = s[:len(s)-len(cut)]
		}
	}
	return sameKind(s, e.class), nil
}

func sameKind(s string, c class) change.Value {
	if c == classBytes {
		return change.BytesValue([]byte(s))
	}
	return change.StringValue(s)
}

// substring is SUBSTRING(x, from[, count]).
type substring struct {
	base
	arg, from, count node // count may be nil
}

func newSubstring(arg, from, count node) (node, error) {
	i := arg.info()
	if !i.isText() && i.class != classBytes {
		return nil, refuse("CAST it to CHAR", "SUBSTRING of %s", describe(arg))
	}
	out := *i
	out.isLit, out.lit = false, change.Value{}
	out.text = "SUBSTRING(" + arg.String() + ", " + from.String()
	length := i.textLength()
	for _, n := range []node{from, count} {
		if n == nil {
			continue
		}
		if c := n.info(); c.class != classInt && c.class != classUint {
			return nil, refuse("CAST it to SIGNED", "SUBSTRING counts with integers, not with %s", describe(n))
		}
		out.null = out.null || n.Nullable()
	}
	if count != nil {
		out.text += ", " + count.String()
		if c := count.info(); c.isLit && c.lit.Int() >= 0 && c.lit.Int() < int64(length) {
			length = int(c.lit.Int())
		}
	}
	out.text += ")"
	out.class, out.typ = classString, typeText(length, i.typ.Charset, i.typ.Collation)
	if i.class == classBytes {
		out.class, out.typ = classBytes, typeBytes(length)
	}
	return &substring{out, arg, from, count}, nil
}

// Eval counts characters from 1, bytes of a binary string; a negative start counts from the end.
func (e *substring) Eval(t Tuple) (change.Value, error) {
	s, from, ok, err := both(e.arg, e.from, t)
	if !ok {
		return change.Value{}, err
	}
	count := signed{mag: 1 << 62}
	if e.count != nil {
		v, err := e.count.Eval(t)
		if err != nil || v.IsNull() {
			return change.Value{}, err
		}
		count = toSigned(v)
	}
	start := toSigned(from)
	if count.neg || count.mag == 0 || start.mag == 0 {
		return sameKind("", e.class), nil
	}
	text := s.Text()
	n := len(text)
	if e.class != classBytes {
		n = utf8.RuneCountInString(text)
	}
	if start.mag > uint64(n) {
		return sameKind("", e.class), nil
	}
	begin := int(start.mag) - 1
	if start.neg {
		begin = n - int(start.mag)
	}
	end := n
	if count.mag < uint64(n-begin) {
		end = begin + int(count.mag)
	}
	if e.class != classBytes && n != len(text) {
		return change.StringValue(text[runeOffset(text, begin):runeOffset(text, end)]), nil
	}
	return sameKind(text[begin:end], e.class), nil
}

// runeOffset is the byte offset of the n-th character.
func runeOffset(s string, n int) int {
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}
