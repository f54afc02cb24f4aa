package rewrite

import (
	"fmt"

	"github.com/etlsandbox/cdc/internal/testenv/tds/datatype"
	"github.com/etlsandbox/cdc/internal/testenv/tds/tsql"
)

func (b *binder) cast(x *tsql.Cast) (typed, error) {
	e, err := b.value(x.X)
	if err != nil {
		return e, err
	}
	if x.Try {
		return e, refuse("TRY_CAST and TRY_CONVERT")
	}
	e.name = ""
	if x.Style == nil {
		return b.castPlain(e, x.Type)
	}
	style, ok := x.Style.(*tsql.Number)
	if !ok {
		return e, refuse("CONVERT with a style that is no number")
	}
	switch {
	case style.Text == "0":
		return b.castPlain(e, x.Type)
	case e.typ.IsTemporal() && x.Type.IsText():
		if s := style.Text; s != "23" && s != "120" && s != "121" && s != "126" {
			return e, refuse("style %s for %s", s, e.typ)
		}
		e.sql = textToText(temporalText(e, style.Text), datatype.NVar(34), x.Type, casting)
	case e.typ.IsText() && x.Type.IsTemporal():
		if s := style.Text; s != "23" && s != "120" && s != "121" && s != "126" {
			return e, refuse("style %s for %s", s, x.Type)
		}
		return b.castPlain(e, x.Type)
	case e.typ.IsBinary() && x.Type.IsText() && (style.Text == "1" || style.Text == "2"):
		prefix := ""
		if style.Text == "1" {
			prefix = "'0x' || "
		}
		length := datatype.NVar(datatype.Max)
		if e.typ.Length != datatype.Max {
			length = datatype.NVar(2*e.typ.Length + 2)
		}
		e.sql = textToText(fmt.Sprintf("(%supper(encode(%s, 'hex')))", prefix, e.sql), length, x.Type, casting)
	case e.typ.IsText() && x.Type.IsBinary() && (style.Text == "1" || style.Text == "2"):
		e.sql = fmt.Sprintf("tds.unhex(%s, %s)", e.sql, style.Text)
		e.typ = datatype.Type{Kind: datatype.VarBinary, Length: datatype.Max}
		return b.convert(e, x.Type, casting)
	case e.typ.Kind == datatype.Real || e.typ.Kind == datatype.Float:
		return e, refuse("style %s for %s", style.Text, e.typ)
	case e.typ.Kind == datatype.Null:
		return b.castPlain(e, x.Type)
	default:
		return e, refuse("style %s for the conversion of %s to %s", style.Text, e.typ, x.Type)
	}
	e.typ, e.strength, e.hexOf = x.Type, coercible, ""
	return e, nil
}

func (b *binder) castPlain(e typed, t datatype.Type) (typed, error) {
	if (e.typ.Kind == datatype.Real || e.typ.Kind == datatype.Float) && t.IsText() {
		return e, refuse("the conversion of %s to %s", e.typ, t)
	}
	return b.convert(e, t, casting)
}

func (b *binder) caseOf(x *tsql.Case) (typed, error) {
	var branches []typed
	sql := "CASE"
	var conditions []string
	for _, w := range x.Whens {
		var p string
		var err error
		if x.Of != nil {
			p, err = b.compare("=", x.Of, w.If)
		} else {
			p, err = b.predicate(w.If)
		}
		if err != nil {
			return typed{}, err
		}
		conditions = append(conditions, p)
		e, err := b.value(w.Then)
		if err != nil {
			return typed{}, err
		}
		branches = append(branches, e)
	}
	last := typed{sql: "NULL", nullable: true}
	if x.Else != nil {
		var err error
		if last, err = b.value(x.Else); err != nil {
			return typed{}, err
		}
	}
	branches = append(branches, last)
	out, err := b.unify(branches)
	if err != nil {
		return out, err
	}
	for i, c := range conditions {
		sql += " WHEN " + c + " THEN " + branches[i].sql
	}
	out.sql = "(" + sql + " ELSE " + branches[len(branches)-1].sql + " END)"
	return out, nil
}

// unify converts expressions to the type of them all, in place, and returns that type.
func (b *binder) unify(all []typed) (typed, error) {
	var out typed
	for i, e := range all {
		if i == 0 {
			out = e
			continue
		}
		if out.typ.IsText() && e.typ.IsText() {
			c, s, err := collate(out, e)
			if err != nil {
				return out, err
			}
			out.typ.Collation, out.strength = c, s
			e.typ.Collation = c
		} else if e.typ.IsText() && !out.typ.IsText() {
			out.strength = e.strength
		}
		out.typ = stronger(out.typ, e.typ)
		out.nullable = out.nullable || e.nullable
	}
	if out.typ.Kind == datatype.Null {
		out.typ = datatype.Simple(datatype.Int)
	}
	for i := range all {
		e, err := b.convert(all[i], out.typ, casting)
		if err != nil {
			return out, err
		}
		all[i] = e
	}
	out.name, out.hexOf = "", ""
	return out, nil
}
