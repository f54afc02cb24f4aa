package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// find returns the value at a dotted path below a section. It follows keys of sections only.
func find(v reflect.Value, path string) (reflect.Value, bool) {
	for _, key := range strings.Split(path, ".") {
		fs := fieldsOf(v.Type())
		i := slices.IndexFunc(fs, func(f field) bool { return f.key == key })
		if i < 0 {
			return reflect.Value{}, false
		}
		v = v.Field(fs[i].index)
	}
	return v, true
}

// same compares two settings of one type; a list or mapping that is empty equals one that is not set.
func same(a, b reflect.Value) bool {
	switch x := a.Interface().(type) {
	case Secret:
		return x.Equal(b.Interface().(Secret))
	case Regexp:
		return x.Equal(b.Interface().(Regexp))
	case From:
		return x.Equal(b.Interface().(From))
	case Start:
		return x == b.Interface().(Start)
	}
	switch a.Kind() {
	case reflect.Struct:
		for _, f := range fieldsOf(a.Type()) {
			if !same(a.Field(f.index), b.Field(f.index)) {
				return false
			}
		}
		return true
	case reflect.Slice:
		if a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !same(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	case reflect.Map:
		if a.Len() != b.Len() {
			return false
		}
		for _, k := range a.MapKeys() {
			if o := b.MapIndex(k); !o.IsValid() || !same(a.MapIndex(k), o) {
				return false
			}
		}
		return true
	}
	return a.Interface() == b.Interface()
}

// shown returns the text of a single value as the file would hold it, secrets as their references.
func shown(v reflect.Value) (text, tag string) {
	switch x := v.Interface().(type) {
	case Secret:
		return x.Reference(), "!!str"
	case time.Duration:
		return formatDuration(x), "!!str"
	case ServerID:
		return x.String(), "!!str"
	case fmt.Stringer:
		return x.String(), "!!str"
	}
	switch v.Kind() {
	case reflect.Bool:
		return strconv.FormatBool(v.Bool()), "!!bool"
	case reflect.Int:
		return strconv.FormatInt(v.Int(), 10), "!!int"
	case reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64), "!!float"
	}
	return v.String(), "!!str"
}

// render turns settings into YAML nodes. places, when not nil, adds to each setting that was written
// somewhere a comment that says where.
func render(v reflect.Value, path string, places map[string]Place) *yaml.Node {
	if s, ok := v.Interface().(Start); ok {
		return renderStart(s)
	}
	switch {
	case isSection(v.Type()):
		n := &yaml.Node{Kind: yaml.MappingNode}
		for _, f := range fieldsOf(v.Type()) {
			p := join(path, f.key)
			n.Content = append(n.Content, scalarNode(f.key, "!!str"), comment(render(v.Field(f.index), p, places), p, places))
		}
		return n
	case v.Kind() == reflect.Map:
		n := &yaml.Node{Kind: yaml.MappingNode}
		for _, k := range sortedKeys(v) {
			p := join(path, k)
			n.Content = append(n.Content, scalarNode(k, "!!str"), comment(render(v.MapIndex(reflect.ValueOf(k)), p, places), p, places))
		}
		return flowIfEmpty(n)
	case v.Kind() == reflect.Slice:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for i := range v.Len() {
			n.Content = append(n.Content, render(v.Index(i), fmt.Sprintf("%s[%d]", path, i), nil))
		}
		return flowIfEmpty(n)
	}
	return scalarNode(shown(v))
}

func flowIfEmpty(n *yaml.Node) *yaml.Node {
	if len(n.Content) == 0 {
		n.Style = yaml.FlowStyle
	}
	return n
}

func comment(n *yaml.Node, path string, places map[string]Place) *yaml.Node {
	if p, ok := places[path]; ok && n.Kind == yaml.ScalarNode {
		n.LineComment = p.String()
	}
	return n
}

func scalarNode(text, tag string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: text}
	if tag == "!!str" && text == "" {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

func renderStart(s Start) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
	add := func(key, text, tag string) {
		n.Content = append(n.Content, scalarNode(key, "!!str"), scalarNode(text, tag))
	}
	switch s.Kind {
	case StartGTID:
		add("gtid", s.GTID, "!!str")
	case StartFile:
		add("file", s.File, "!!str")
		add("position", strconv.FormatUint(s.Position, 10), "!!int")
	case StartTime:
		add("time", s.Time.UTC().Format(time.RFC3339), "!!str")
	default:
		return scalarNode(string(s.Kind), "!!str")
	}
	return n
}

// YAML returns the effective settings as a file that could be loaded, secrets as their references. Behind
// each setting that is not a default stands where it was written.
func (c *Config) YAML() ([]byte, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(render(reflect.ValueOf(c).Elem(), "", c.origin.places)); err != nil {
		return nil, fmt.Errorf("write the settings as YAML: %w", err)
	}
	return b.Bytes(), enc.Close()
}

// JSON returns the effective settings, secrets as their references.
func (c *Config) JSON() ([]byte, error) {
	var b bytes.Buffer
	writeJSON(&b, render(reflect.ValueOf(c).Elem(), "", nil))
	var out bytes.Buffer
	if err := json.Indent(&out, b.Bytes(), "", "  "); err != nil {
		return nil, fmt.Errorf("write the settings as JSON: %w", err)
	}
	return append(out.Bytes(), '\n'), nil
}

func writeJSON(b *bytes.Buffer, n *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		b.WriteByte('{')
		for i := 0; i < len(n.Content); i += 2 {
			if i > 0 {
				b.WriteByte(',')
			}
			quoteJSON(b, n.Content[i].Value)
			b.WriteByte(':')
			writeJSON(b, n.Content[i+1])
		}
		b.WriteByte('}')
	case yaml.SequenceNode:
		b.WriteByte('[')
		for i, c := range n.Content {
			if i > 0 {
				b.WriteByte(',')
			}
			writeJSON(b, c)
		}
		b.WriteByte(']')
	default:
		if n.Tag == "!!str" {
			quoteJSON(b, n.Value)
			return
		}
		b.WriteString(n.Value)
	}
}

func quoteJSON(b *bytes.Buffer, s string) {
	q, err := json.Marshal(s)
	if err != nil { // a string always has a JSON form
		panic(err)
	}
	b.Write(q)
}
