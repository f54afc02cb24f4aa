package rewrite

import (
	"fmt"
	"strings"

	"github.com/etlsandbox/cdc/internal/testenv/tds/datatype"
	"github.com/etlsandbox/cdc/internal/testenv/tds/tsql"
)

// dateDiff counts the boundaries of seconds between two times; other parts of a date are refused.
func (b *binder) dateDiff(x *tsql.Call) (typed, error) {
	part, ok := x.Args[0].(*tsql.Column)
	if !ok || len(part.Table) != 0 || !strings.EqualFold(part.Name, "second") {
		return typed{}, refuse("DATEDIFF of anything but second")
	}
	out := typed{typ: datatype.Simple(datatype.Int), nullable: true}
	var at [2]string
	for i, a := range x.Args[1:] {
		e, err := b.value(a)
		if err != nil {
			return out, err
		}
		if e, err = b.convert(e, datatype.Type{Kind: datatype.DateTime2, Scale: 6}, casting); err != nil {
			return out, err
		}
		at[i] = fmt.Sprintf("date_trunc('second', %s)", e.sql)
	}
	out.sql = fmt.Sprintf("EXTRACT(EPOCH FROM %s - %s)::int8::int4", at[1], at[0])
	return out, nil
}
