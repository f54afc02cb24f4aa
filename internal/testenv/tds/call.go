package tds

import (
	"context"
	"errors"
	"fmt"
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
	r.SkipHeaders()
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

// runWith runs a text with the values of its parameters, and sends those back that the client wants back.
func (s *session) runWith(ctx context.Context, text string, declared []tsql.VariableDef, params []wire.Param) error {
	if len(params) > 2100 {
		return &rewrite.Error{Number: 8003, Text: "The incoming request has too many parameters. The server supports a maximum of 2100 parameters. Reduce the number of parameters and resend the request."}
	}
	if len(params) > len(declared) {
		return &rewrite.Error{Number: 8144, Text: "Procedure or function has too many arguments specified."}
	}
	for i, d := range declared {
		var given *wire.Param
		for j := range params {
			if strings.EqualFold(params[j].Name, d.Name) || params[j].Name == "" && j == i {
				given = &params[j]
			}
		}
		if given == nil {
			return &rewrite.Error{Number: 8178, Text: fmt.Sprintf("The parameterized query expects the parameter '%s', which was not supplied.", d.Name)}
		}
		v, err := s.coerce(ctx, *given, d.Type)
		if err != nil {
			return err
		}
		s.variables[strings.ToLower(d.Name)] = rewrite.Variable{Type: d.Type, Value: v}
	}
	if err := s.runText(ctx, text); err != nil {
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

// coerce converts a parameter to the type under which it was declared.
func (s *session) coerce(ctx context.Context, p wire.Param, to datatype.Type) (datatype.Value, error) {
	if p.Value.Null || p.Type == to || p.Type.IsUnicode() && to.Kind == datatype.NVarChar && to.Length == datatype.Max {
		return p.Value, nil
	}
	given := map[string]rewrite.Variable{"@v": {Type: p.Type, Value: p.Value}}
	t := s.translator()
	t.Variables = given
	q, err := t.Value(ctx, &tsql.Variable{Name: "@v"}, to)
	if err != nil {
		return datatype.Value{}, err
	}
	return s.value(ctx, q)
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
