package contract

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Violation is one way in which a row breaks its contract.
type Violation struct {
	Stream, Rule string
	Action       Action
	// Reason names the rule and, of a schema, the place in the row; it does not quote values.
	Reason string
}

// Has reports whether rows of a table or view are checked at all.
func (s *Set) Has(stream string) bool { return s != nil && s.byStream[stream] != nil }

// Streams returns how many tables and views have a contract.
func (s *Set) Streams() int {
	if s == nil {
		return 0
	}
	return len(s.byStream)
}

// Check returns how a row breaks the contract of its table or view; nothing when it has none. A rule over a
// column that the table does not have, or that cannot be evaluated, is violated: it is not passed over in
// silence.
func (s *Set) Check(t *change.Table, row change.Row) []Violation {
	if s == nil {
		return nil
	}
	c := s.byStream[t.ID.String()]
	if c == nil {
		return nil
	}
	var out []Violation
	if c.schema != nil {
		if err := c.schema.Validate(document(t, row)); err != nil {
			out = append(out, Violation{c.stream, SchemaRule, c.action, "contract: " + reasonOf(err)})
		}
	}
	var values map[string]any // what CEL takes
	for _, r := range c.rules {
		i := columnOf(t, r.column)
		if i < 0 {
			out = append(out, Violation{c.stream, r.name, r.action, fmt.Sprintf("contract: rule %s: there is no column %s", r.name, r.column)})
			continue
		}
		if row[i].IsNull() || row[i].IsAbsent() {
			continue
		}
		if values == nil {
			values = variables(t, row)
		}
		if why := r.broken(values, row[i]); why != "" {
			out = append(out, Violation{c.stream, r.name, r.action, "contract: rule " + r.name + why})
		}
	}
	return out
}

// broken says why a rule does not hold; "" when it does.
func (r *rule) broken(row map[string]any, v change.Value) string {
	got, _, err := r.program.Eval(map[string]any{"row": row, "value": variable(v)})
	if err != nil {
		return " cannot be evaluated: " + err.Error()
	}
	if ok, is := got.Value().(bool); !is {
		return " gives no truth value"
	} else if !ok {
		return " of column " + r.column + " does not hold"
	}
	return ""
}

func columnOf(t *change.Table, name string) int {
	for i := range t.Columns {
		if strings.EqualFold(t.Columns[i].Name, name) {
			return i
		}
	}
	return -1
}

// reasonOf names the places in the row that a schema refuses, without the values.
func reasonOf(err error) string {
	var v *jsonschema.ValidationError
	if !errors.As(err, &v) {
		return err.Error()
	}
	for len(v.Causes) > 0 {
		v = v.Causes[0]
	}
	place := strings.Join(v.InstanceLocation, ".")
	if place == "" {
		place = "the row"
	}
	return fmt.Sprintf("%s breaks the schema's %s", place, strings.Join(v.ErrorKind.KeywordPath(), "/"))
}

// document is a row as JSON has it: exact numbers, texts, null. What was not transmitted is left out.
func document(t *change.Table, row change.Row) map[string]any {
	doc := make(map[string]any, len(row))
	for i, v := range row {
		if !v.IsAbsent() {
			doc[t.Columns[i].Name] = jsonValue(v)
		}
	}
	return doc
}

func jsonValue(v change.Value) any {
	switch v.Kind() {
	case change.Null, change.Absent:
		return nil
	case change.Int, change.Year:
		return json.Number(strconv.FormatInt(v.Int(), 10))
	case change.Uint:
		return json.Number(strconv.FormatUint(v.Uint(), 10))
	case change.Decimal:
		if !isPlain(v.Text()) {
			return v.Text()
		}
		return json.Number(v.Text())
	case change.Float, change.Double:
		return v.Double()
	case change.JSON:
		// Numbers in it become doubles: an exact one may have an exponent that fills the memory.
		var doc any
		if json.Unmarshal([]byte(v.Text()), &doc) != nil {
			return v.Text()
		}
		return doc
	case change.Bytes:
		return base64.StdEncoding.EncodeToString([]byte(v.Text()))
	case change.String:
		return v.Text()
	case change.Date, change.Time, change.Datetime, change.Timestamp:
	}
	return v.String()
}

// isPlain reports whether a decimal is digits, with a sign and a point at most, as every decimal of a source is.
func isPlain(s string) bool {
	s = strings.TrimPrefix(s, "-")
	whole, fraction, point := strings.Cut(s, ".")
	return whole != "" && strings.Trim(whole+fraction, "0123456789") == "" && (!point || fraction != "") && (whole == "0" || whole[0] != '0')
}

func variables(t *change.Table, row change.Row) map[string]any {
	vars := make(map[string]any, len(row))
	for i, v := range row {
		if !v.IsAbsent() {
			vars[t.Columns[i].Name] = variable(v)
		}
	}
	return vars
}

// variable is a value as CEL has it.
func variable(v change.Value) any {
	switch v.Kind() {
	case change.Null, change.Absent:
		return nil
	case change.Int, change.Year:
		return v.Int()
	case change.Uint:
		if u := v.Uint(); u > math.MaxInt64 {
			return u
		}
		return int64(v.Uint())
	case change.Decimal:
		f, err := strconv.ParseFloat(v.Text(), 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return v.Text()
		}
		return f
	case change.Float, change.Double:
		return v.Double()
	case change.Bytes:
		return []byte(v.Text())
	case change.String, change.JSON:
		if s := v.Text(); utf8.ValidString(s) {
			return s
		}
		return []byte(v.Text())
	case change.Timestamp, change.Datetime, change.Date, change.Time:
	}
	return v.String()
}
