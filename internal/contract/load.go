package contract

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Version is the format of contract files that this build reads.
const Version = 1

// Action is what is done about a row that violates a contract.
type Action string

// The actions.
const (
	Warn       Action = "warn"       // it is counted and delivered
	Quarantine Action = "quarantine" // the destination lists it in cdc_quarantine instead
	Stop       Action = "stop"       // the sink stops
)

// SchemaRule is the name under which violations of a contract's schema are counted.
const SchemaRule = "schema"

// Set holds the contracts of all streams. It is immutable; the nil Set checks nothing.
type Set struct {
	byStream map[string]*contract
}

// contract is what the rows of one table or view must meet.
type contract struct {
	stream string
	action Action
	schema *jsonschema.Schema // nil: none
	rules  []rule
	digest [sha256.Size]byte // of the file's text
}

// rule is a CEL expression over one column.
type rule struct {
	name, column string
	action       Action
	program      cel.Program
}

// file is a contract as it is written.
type file struct {
	Version int             `json:"version"`
	Stream  string          `json:"stream"`
	Action  Action          `json:"action"`
	Schema  json.RawMessage `json:"schema"`
	Rules   []fileRule      `json:"rules"`
}

type fileRule struct {
	Name   string `json:"name"`
	Column string `json:"column"`
	Expr   string `json:"expr"`
	Action Action `json:"action"`
}

// Load reads every *.json of a folder; a folder that is not there holds none. All that is wrong is reported
// at once, each with its file.
func Load(fsys fs.FS) (*Set, error) {
	names, err := fs.Glob(fsys, "*.json")
	if err != nil {
		return nil, fmt.Errorf("list contracts: %w", err)
	}
	s := &Set{byStream: map[string]*contract{}}
	var bad []error
	for _, name := range names {
		b, err := fs.ReadFile(fsys, name)
		if err != nil {
			bad = append(bad, fmt.Errorf("read contract %s: %w", name, err))
			continue
		}
		c, err := parse(name, b)
		if err != nil {
			bad = append(bad, fmt.Errorf("contract %s: %w", name, err))
			continue
		}
		if s.byStream[c.stream] != nil {
			bad = append(bad, fmt.Errorf("contract %s: %s has a contract already: put both into one file", name, c.stream))
			continue
		}
		s.byStream[c.stream] = c
	}
	return s, errors.Join(bad...)
}

func parse(name string, b []byte) (*contract, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	var f file
	if err := dec.Decode(&f); err != nil {
		return nil, err
	}
	switch {
	case f.Version != Version:
		return nil, fmt.Errorf("version %d is unknown: write %d", f.Version, Version)
	case f.Stream == "":
		return nil, errors.New("stream is missing: name a view, or a table as database.table")
	case len(f.Schema) == 0 && len(f.Rules) == 0:
		return nil, errors.New("there is neither a schema nor a rule")
	}
	c := &contract{stream: f.Stream, digest: sha256.Sum256(b)}
	var err error
	if c.action, err = action(f.Action, Quarantine); err != nil {
		return nil, err
	}
	if len(f.Schema) > 0 {
		if c.schema, err = compileSchema(name, f.Schema); err != nil {
			return nil, fmt.Errorf("schema: %w", err)
		}
	}
	for i, r := range f.Rules {
		if err := c.add(r); err != nil {
			return nil, fmt.Errorf("rule %d (%s): %w", i+1, r.Name, err)
		}
	}
	return c, nil
}

func action(a, otherwise Action) (Action, error) {
	switch a {
	case "":
		return otherwise, nil
	case Warn, Quarantine, Stop:
		return a, nil
	}
	return a, fmt.Errorf("action %q is none of warn, quarantine, stop", a)
}

// compileSchema compiles a schema that refers to nothing outside of itself.
func compileSchema(name string, text []byte) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	where := "contract:///" + path.Base(name)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.UseLoader(nowhere{})
	if err := c.AddResource(where, doc); err != nil {
		return nil, err
	}
	return c.Compile(where)
}

// nowhere loads nothing: a contract is one file.
type nowhere struct{}

// Load implements jsonschema.URLLoader.
func (nowhere) Load(url string) (any, error) {
	return nil, fmt.Errorf("%s is outside of the file: put it under $defs", url)
}

// costLimit bounds the work of one evaluation of a rule.
const costLimit = 100_000

func (c *contract) add(r fileRule) error {
	switch {
	case r.Name == "" || r.Name == SchemaRule || strings.ContainsAny(r.Name, " \t\n"):
		return fmt.Errorf("a rule needs a name without spaces, other than %q: it is counted by it", SchemaRule)
	case r.Column == "":
		return errors.New("column is missing")
	case slices.ContainsFunc(c.rules, func(o rule) bool { return o.name == r.Name }):
		return errors.New("the name is taken")
	}
	act, err := action(r.Action, c.action)
	if err != nil {
		return err
	}
	env, err := cel.NewEnv(cel.Variable("value", cel.DynType), cel.Variable("row", cel.MapType(cel.StringType, cel.DynType)),
		cel.CrossTypeNumericComparisons(true))
	if err != nil {
		return err
	}
	ast, issues := env.Compile(r.Expr)
	if err := issues.Err(); err != nil {
		return fmt.Errorf("expr: %w", err)
	}
	if t := ast.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return fmt.Errorf("expr gives %s, not true or false", t)
	}
	p, err := env.Program(ast, cel.CostLimit(costLimit))
	if err != nil {
		return fmt.Errorf("expr: %w", err)
	}
	c.rules = append(c.rules, rule{name: r.Name, column: r.Column, action: act, program: p})
	return nil
}
