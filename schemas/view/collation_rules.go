package view

import "strings"

// textType is the collation that several strings have together, and how strongly.
type textType struct {
	charset, collation string
	der                derivation
	ascii              bool
}

func textTypeOf(i *base) textType {
	if i.isText() || i.class == classBytes {
		return textType{i.typ.Charset, i.typ.Collation, i.der, i.ascii}
	}
	return textType{"utf8mb4", sessionCollation, derNumeric, true}
}

// merge is the servers' aggregation of collations. comparing refuses what only CONCAT may do: strings of
// two collations without a winner.
func (a textType) merge(b textType, comparing bool) (textType, error) {
	ascii := a.ascii && b.ascii
	if a.der == derNone || b.der == derNone {
		return a.mergeNone(b, comparing)
	}
	if strings.EqualFold(a.collation, b.collation) {
		a.der, a.ascii = min(a.der, b.der), ascii
		return a, nil
	}
	if (a.charset == "binary") != (b.charset == "binary") {
		return a, refuse("CAST one side: CAST(x AS CHAR) or CAST(x AS BINARY)", "text and binary strings are mixed")
	}
	win, lose := a, b
	if b.der < a.der {
		win, lose = b, a
	}
	if win.der == lose.der || win.der == derImplicit && lose.der == derCast {
		return win.mergeEqual(lose, comparing)
	}
	if !lose.fits(win.charset) {
		return a, refuse("convert the other side: CAST(x AS CHAR)",
			"a string of character set %s meets one of %s that it may not fit", lose.charset, win.charset)
	}
	win.ascii = ascii
	return win, nil
}

// mergeNone merges where one side has no collation of its own: such strings may only be joined together.
func (a textType) mergeNone(b textType, comparing bool) (textType, error) {
	if b.der == derNone {
		a, b = b, a
	}
	switch {
	case a.charset != b.charset:
		return a, refuse("name one: ... COLLATE "+a.charset+"_bin", "strings of character set %s and %s are mixed, and one has no collation of its own", a.charset, b.charset)
	case comparing || b.der == derExplicit:
		return a, refuse("name one for the mixed string: ... COLLATE "+a.charset+"_bin", "a string of mixed collations has none of its own")
	}
	return textType{a.charset, a.charset + "_bin", derNone, a.ascii && b.ascii}, nil
}

func (a textType) mergeEqual(b textType, comparing bool) (textType, error) {
	if comparing || a.der != derImplicit && a.der != derCast {
		return a, refuse("choose one: ... COLLATE "+a.charset+"_bin",
			"strings of collation %s and %s are mixed", a.collation, b.collation)
	}
	if a.charset != b.charset && b.der == derCast {
		return a, refuse("CAST it as well: CAST(x AS CHAR)", "a string of character set %s and a CAST to CHAR are mixed", a.charset)
	}
	if a.charset != b.charset {
		switch {
		case a.charset == "utf8mb4" && b.fits("utf8mb4"):
			return a, nil
		case b.charset == "utf8mb4" && a.fits("utf8mb4"):
			return b, nil
		}
		return a, refuse("convert one: CAST(x AS CHAR)", "strings of character set %s and %s are mixed", a.charset, b.charset)
	}
	return textType{a.charset, a.charset + "_bin", derNone, false}, nil
}

// fits reports whether every string of the type can be written in the character set.
func (a textType) fits(charset string) bool {
	if a.ascii || charset == "utf8mb4" || charset == a.charset {
		return true
	}
	return a.charset == "ascii"
}

// comparable returns the collation under which strings of the type compare.
func (a textType) comparable() (*collation, error) {
	if a.der == derNone {
		return nil, refuse("name one: ... COLLATE "+a.charset+"_bin", "the strings have no common collation")
	}
	if c := collationOf(a.collation); c != nil {
		return c, nil
	}
	return nil, refuse("compare under one that is: ... COLLATE "+a.charset+"_bin",
		"comparison of strings under the collation %s is not proven equal to the servers'", a.collation)
}
