package tds

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/etlsandbox/cdc/internal/testenv/tds/datatype"
	"github.com/etlsandbox/cdc/internal/testenv/tds/rewrite"
	"github.com/etlsandbox/cdc/internal/testenv/tds/tsql"
	"github.com/etlsandbox/cdc/internal/testenv/tds/wire"
)

// serveCall serves a remote call.
func (s *session) serveCall(ctx context.Context, body *message) error {
	r := wire.NewReader(body)
	if err := s.belongs(r.Headers()); err != nil {
		return err
	}
	c, err := r.ReadCall()
	if err != nil {
		return protocolError(err)
	}
	err = s.call(ctx, c)
	var stop stopBatch
	if err == nil || errors.As(err, &stop) {
		s.reply.ReturnStatus(0)
	}
	return err
}

func (s *session) call(ctx context.Context, c wire.Call) error {
	switch {
	case c.ID == wire.ProcExecuteSQL:
		return s.executeSQL(ctx, c.Params)
	case c.ID == wire.ProcPrepare:
		return s.prepare(c.Params)
	case c.ID == wire.ProcExecute:
		return s.executePrepared(ctx, c.Params)
	case c.ID == wire.ProcUnprepare:
		handle, err := handleOf(c.Params)
		delete(s.prepared, handle)
		return err
	case c.ID != 0:
		return &rewrite.Error{Number: rewrite.Refusal, Text: fmt.Sprintf("the double does not implement procedure %d", c.ID)}
	}
	name, err := tsql.ParseName(c.Name)
	if err != nil {
		return &rewrite.Error{Number: 2812, Text: fmt.Sprintf("Could not find stored procedure '%s'.", c.Name)}
	}
	if strings.EqualFold(name.Last(), "sp_executesql") {
		return s.executeSQL(ctx, c.Params)
	}
	var args []argument
	for _, p := range c.Params {
		args = append(args, argument{name: strings.ToLower(p.Name), value: p.Value})
	}
	return s.procedure(ctx, name, args)
}

// executeSQL is sp_executesql: the text, the declarations of its parameters, their values.
func (s *session) executeSQL(ctx context.Context, params []wire.Param) error {
	if len(params) == 0 || !params[0].Type.IsText() || params[0].Value.Null {
		return &rewrite.Error{Number: 214, Text: "Procedure expects parameter '@statement' of type 'ntext/nchar/nvarchar'."}
	}
	for i, names := range [][]string{{"", "@stmt", "@statement"}, {"", "@params"}} {
		if i < len(params) && !slices.Contains(names, strings.ToLower(params[i].Name)) {
			return &rewrite.Error{Number: rewrite.Refusal, Text: "the double does not implement sp_executesql with " + params[i].Name + " in that place"}
		}
	}
	text := datatype.Load(params[0].Value.Text)
	var declared []tsql.VariableDef
	if len(params) > 1 {
		var err error
		if declared, err = tsql.ParseParameters(datatype.Load(params[1].Value.Text)); err != nil {
			return &rewrite.Error{Number: rewrite.Refusal, Class: 15, Text: err.Error()}
		}
		params = params[2:]
	} else {
		params = nil
	}
	return s.runWith(ctx, text, declared, params)
}

// mostParameters of a call; the text and the declarations are two of them.
const mostParameters = 2100

// runWith runs a text with the values of its parameters, and sends those back that the client wants back.
func (s *session) runWith(ctx context.Context, text string, declared []tsql.VariableDef, params []wire.Param) error {
	if len(params)+2 > mostParameters {
		return &rewrite.Error{Number: 8003, Text: "The incoming request has too many parameters. The server supports a maximum of 2100 parameters. Reduce the number of parameters and resend the request."}
	}
	if len(params) > len(declared) {
		return &rewrite.Error{Number: 8144, Text: "Procedure or function has too many arguments specified."}
	}
	byName := make(map[string]*wire.Param, len(params))
	for i := range params {
		if params[i].Name != "" {
			byName[strings.ToLower(params[i].Name)] = &params[i]
		}
	}
	var slow []tsql.VariableDef // their values are converted by PostgreSQL
	given := map[string]rewrite.Variable{}
	for i, d := range declared {
		key := strings.ToLower(d.Name)
		p := byName[key]
		if p == nil && i < len(params) && params[i].Name == "" {
			p = &params[i]
		}
		if p == nil {
			return &rewrite.Error{Number: 8178, Text: fmt.Sprintf("The parameterized query expects the parameter '%s', which was not supplied.", d.Name)}
		}
		if _, twice := s.variables[key]; twice {
			return &rewrite.Error{Number: 134, Class: 15, Text: fmt.Sprintf("The variable name '%s' has already been declared. Variable names must be unique within a query batch or stored procedure.", d.Name)}
		}
		v, ok := asDeclared(p, d.Type)
		if !ok {
			slow = append(slow, d)
			given[key] = rewrite.Variable{Type: p.Type, Value: p.Value}
		}
		s.variables[key] = rewrite.Variable{Type: d.Type, Value: v}
	}
	if err := s.convert(ctx, slow, given); err != nil {
		return err
	}
	if err := s.inScope(ctx, func() error { return s.runText(ctx, text) }); err != nil {
		return err
	}
	for _, p := range params {
		if !p.Output {
			continue
		}
		v := s.variables[strings.ToLower(p.Name)]
		if err := s.reply.ReturnValue(p.Name, v.Type, v.Value); err != nil {
			return &rewrite.Error{Number: rewrite.Refusal, Text: err.Error()}
		}
	}
	return nil
}

// asDeclared is the value of a parameter under its declared type, where that changes nothing of it; ok is false if
// it has to be converted.
func asDeclared(p *wire.Param, to datatype.Type) (v datatype.Value, ok bool) {
	from := p.Type
	switch {
	case from.Kind == datatype.Null, from == to, from.IsUnicode() && to.Kind == datatype.NVarChar && to.Length == datatype.Max:
		return p.Value, true
	case p.Value.Null:
		return p.Value, convertible(from, to)
	case from.IsInteger() && to.IsInteger() && to.Kind != datatype.Bit:
		n, err := strconv.ParseInt(p.Value.Text, 10, 64)
		return p.Value, err == nil && n >= lowest[to.Kind] && n <= highest[to.Kind]
	case from.Kind == datatype.NVarChar && to.Kind == datatype.NVarChar:
		return p.Value, wire.Units(p.Value.Text) <= to.Length
	case from.Kind == datatype.VarBinary && to.Kind == datatype.VarBinary:
		return p.Value, to.Length == datatype.Max || len(p.Value.Text)/2-1 <= to.Length
	}
	return p.Value, false
}

// convertible reports types whose NULL is taken for one of another without a look at what the server says of it.
func convertible(from, to datatype.Type) bool {
	switch {
	case from.IsNumber():
		return to.IsNumber()
	case from.IsText():
		return to.IsText() || to.IsNumber() || to.IsTemporal()
	}
	return from.Kind == to.Kind
}

// lowest and highest are the limits of the integers.
var (
	lowest = map[datatype.Kind]int64{
		datatype.TinyInt: 0, datatype.SmallInt: math.MinInt16, datatype.Int: math.MinInt32, datatype.BigInt: math.MinInt64,
	}
	highest = map[datatype.Kind]int64{
		datatype.TinyInt: math.MaxUint8, datatype.SmallInt: math.MaxInt16, datatype.Int: math.MaxInt32, datatype.BigInt: math.MaxInt64,
	}
)

// convertedAtOnce is how many values one query converts; PostgreSQL takes some more columns.
const convertedAtOnce = 1000

// convert converts parameters to the types under which they were declared.
func (s *session) convert(ctx context.Context, declared []tsql.VariableDef, given map[string]rewrite.Variable) error {
	for some := range slices.Chunk(declared, convertedAtOnce) {
		t := s.translator()
		t.Variables = given
		q, err := t.Assigned(ctx, some)
		if err != nil {
			return err
		}
		var rows [][]datatype.Value
		err = s.atomically(ctx, false, func() error {
			rows, err = s.rows(ctx, q.SQL, q.Params)
			return err
		})
		if err != nil {
			return err
		}
		for i, d := range some {
			s.variables[strings.ToLower(d.Name)] = rewrite.Variable{Type: d.Type, Value: rows[0][i]}
		}
	}
	return nil
}

// prepare is sp_prepare: the handle goes out, the declarations and the text come in.
func (s *session) prepare(params []wire.Param) error {
	if len(params) < 3 {
		return &rewrite.Error{Number: 214, Text: "Procedure expects parameter '@stmt' of type 'ntext/nchar/nvarchar'."}
	}
	declared, err := tsql.ParseParameters(datatype.Load(params[1].Value.Text))
	if err != nil {
		return &rewrite.Error{Number: rewrite.Refusal, Class: 15, Text: err.Error()}
	}
	text := datatype.Load(params[2].Value.Text)
	if _, err := tsql.Parse(text); err != nil {
		return &rewrite.Error{Number: rewrite.Refusal, Class: 15, Text: err.Error()}
	}
	s.handles++
	s.prepared[s.handles] = prepared{text: text, params: declared}
	return s.reply.ReturnValue(params[0].Name, datatype.Simple(datatype.Int), datatype.Of(strconv.Itoa(s.handles)))
}

func handleOf(params []wire.Param) (int, error) {
	if len(params) == 0 || !params[0].Type.IsInteger() || params[0].Value.Null {
		return 0, &rewrite.Error{Number: 214, Text: "Procedure expects parameter '@handle' of type 'int'."}
	}
	return strconv.Atoi(params[0].Value.Text)
}

func (s *session) executePrepared(ctx context.Context, params []wire.Param) error {
	handle, err := handleOf(params)
	if err != nil {
		return err
	}
	p, ok := s.prepared[handle]
	if !ok {
		return &rewrite.Error{Number: 8179, Text: fmt.Sprintf("Could not find prepared statement with handle %d.", handle)}
	}
	return s.runWith(ctx, p.text, p.params, params[1:])
}
