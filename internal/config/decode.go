package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// origin remembers where the settings of a Config came from.
type origin struct {
	file   string
	places map[string]Place // by path, of what was written somewhere
}

// decoder turns a tree of YAML nodes into a Config and gathers every problem on the way.
type decoder struct {
	file     string
	overlays map[*yaml.Node]overlay
	refs     references
	problems Problems
	places   map[string]Place
	// broken holds paths that already have a problem, so that later checks do not report them again.
	broken map[string]bool
}

func (d *decoder) place(n *yaml.Node) Place {
	if o, ok := d.overlays[n]; ok {
		return Place{Source: o.source}
	}
	return Place{Source: d.file, Line: n.Line, Column: n.Column}
}

func (d *decoder) fail(n *yaml.Node, path, format string, args ...any) {
	d.problems = append(d.problems, Problem{Place: d.place(n), Path: path, What: fmt.Sprintf(format, args...)})
	d.broken[path] = true
}

// failAt reports a problem of a path at the place where it, or the nearest section around it, was written.
func (d *decoder) failAt(path, format string, args ...any) {
	if d.broken[path] {
		return
	}
	d.broken[path] = true
	place := d.places[""]
	for p := path; ; {
		if found, ok := d.places[p]; ok {
			place = found
			break
		}
		i := strings.LastIndexAny(p, ".[")
		if i < 0 {
			break
		}
		p = p[:i]
	}
	d.problems = append(d.problems, Problem{Place: place, Path: path, What: fmt.Sprintf(format, args...)})
}

// value decodes one node into v. f carries the key's tags; of list and map elements, those of the list.
func (d *decoder) value(n *yaml.Node, path string, v reflect.Value, f field) {
	d.places[path] = d.place(n)
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		d.fail(n, path, "YAML anchors and aliases are not supported: write the value out")
		return
	}
	switch v.Type() {
	case typeSecret:
		d.secret(n, path, v)
		return
	case typeStart:
		d.start(n, path, v)
		return
	case typeDuration:
		decodeText(d, n, path, v, parseDuration)
		return
	case typeSize:
		decodeText(d, n, path, v, ParseSize)
		return
	case typeRegexp:
		decodeText(d, n, path, v, ParseRegexp)
		return
	case typeServerID:
		decodeText(d, n, path, v, parseServerID)
		return
	case typeFrom:
		decodeText(d, n, path, v, parseFrom)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.section(n, path, v)
	case reflect.Map:
		d.mapping(n, path, v, f)
	case reflect.Slice:
		d.list(n, path, v, f)
	default:
		d.scalar(n, path, v, f)
	}
}

// section decodes a mapping into a struct and reports keys that it does not have.
func (d *decoder) section(n *yaml.Node, path string, v reflect.Value) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.fail(n, path, "want a section of keys (%s), got %s", strings.Join(keysOf(fieldsOf(v.Type())), ", "), describe(n))
		return
	}
	fs := fieldsOf(v.Type())
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		p := join(path, key.Value)
		at := slices.IndexFunc(fs, func(f field) bool { return f.key == key.Value })
		switch {
		case at < 0:
			d.unknownKey(key, path, keysOf(fs))
		case seen[key.Value]:
			d.fail(key, p, "is written twice: keep one")
		default:
			seen[key.Value] = true
			d.value(val, p, v.Field(fs[at].index), fs[at])
		}
	}
}

func (d *decoder) unknownKey(key *yaml.Node, path string, known []string) {
	p := join(path, key.Value)
	if key.Value == "<<" {
		d.fail(key, path, "YAML merge keys are not supported: write the values out")
		return
	}
	if n := nearest(key.Value, known); n != "" {
		d.fail(key, p, "unknown key: did you mean %q?", n)
		return
	}
	where := "keys at the top"
	if path != "" {
		where = "keys of " + path
	}
	d.fail(key, p, "unknown key; %s: %s", where, strings.Join(known, ", "))
}

var nameRule = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

// mapping decodes a mapping whose keys are the user's own: names of sinks, or table and column names.
func (d *decoder) mapping(n *yaml.Node, path string, v reflect.Value, f field) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.fail(n, path, "want a mapping, got %s", describe(n))
		return
	}
	out := reflect.MakeMap(v.Type())
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		p := join(path, key.Value)
		if isSection(v.Type().Elem()) && !nameRule.MatchString(key.Value) {
			d.fail(key, p, "%q is not a name: use small letters, digits, - and _, a letter first, at most 63", key.Value)
			continue
		}
		if out.MapIndex(reflect.ValueOf(key.Value)).IsValid() {
			d.fail(key, p, "is written twice: keep one")
			continue
		}
		elem := newElement(v.Type().Elem())
		d.value(val, p, elem, field{enum: f.enum})
		out.SetMapIndex(reflect.ValueOf(key.Value), elem)
	}
	v.Set(out)
}

func (d *decoder) list(n *yaml.Node, path string, v reflect.Value, f field) {
	if n.Kind != yaml.SequenceNode {
		if isNull(n) && n.Value == "" {
			d.fail(n, path, "has no value: write [] for none, or remove the key")
			return
		}
		d.fail(n, path, "want a list, got %s: write [%s]", describe(n), strings.TrimSpace(n.Value))
		return
	}
	out := reflect.MakeSlice(v.Type(), 0, len(n.Content))
	for i, item := range n.Content {
		elem := newElement(v.Type().Elem())
		d.value(item, fmt.Sprintf("%s[%d]", path, i), elem, field{enum: f.enum})
		out = reflect.Append(out, elem)
	}
	v.Set(out)
}

func (d *decoder) scalar(n *yaml.Node, path string, v reflect.Value, f field) {
	text, ok := d.text(n, path, typeName(v.Type()))
	if !ok {
		return
	}
	_, isOverlay := d.overlays[n]
	switch v.Kind() {
	case reflect.String:
		if !isOverlay && n.Tag != "!!str" {
			d.fail(n, path, "want text, got %s: put it in quotes", describe(n))
			return
		}
		if f.enum != nil && !slices.Contains(f.enum, text) {
			d.fail(n, path, "%q is not possible: %s", text, oneOf(text, f.enum))
			return
		}
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			d.fail(n, path, "want true or false, got %q", text)
			return
		}
		v.SetBool(text == "true")
	case reflect.Int:
		i, err := strconv.Atoi(text)
		if err != nil {
			d.fail(n, path, "want a whole number, got %q", text)
			return
		}
		if f.enum != nil && !slices.Contains(f.enum, text) {
			d.fail(n, path, "%s is not possible: %s", text, oneOf(text, f.enum))
			return
		}
		v.SetInt(int64(i))
	case reflect.Float64:
		x, err := strconv.ParseFloat(text, 64)
		if err != nil || x != x {
			d.fail(n, path, "want a number, got %q", text)
			return
		}
		v.SetFloat(x)
	default:
		d.fail(n, path, "cannot be set")
	}
}

// decodeText decodes a scalar through its own parser.
func decodeText[T any](d *decoder, n *yaml.Node, path string, v reflect.Value, parse func(string) (T, error)) {
	text, ok := d.text(n, path, typeName(v.Type()))
	if !ok {
		return
	}
	x, err := parse(text)
	if err != nil {
		d.fail(n, path, "%v", err)
		return
	}
	v.Set(reflect.ValueOf(x))
}

// text returns the text of a scalar, with a reference in it resolved.
func (d *decoder) text(n *yaml.Node, path, want string) (string, bool) {
	text := n.Value
	if o, ok := d.overlays[n]; ok {
		text = o.text
	} else if n.Kind != yaml.ScalarNode {
		d.fail(n, path, "want %s, got %s", want, describe(n))
		return "", false
	} else if isNull(n) {
		d.fail(n, path, "has no value: write one, or remove the key")
		return "", false
	}
	ref, err := parseReference(text)
	if err != nil {
		d.fail(n, path, "%v", err)
		return "", false
	}
	if ref == nil {
		return text, true
	}
	text, err = d.refs.resolve(*ref)
	if err != nil {
		d.fail(n, path, "%v", err)
		return "", false
	}
	return text, true
}

// secret decodes a reference. A literal is an error, except from the environment, which is what a
// reference would have named.
func (d *decoder) secret(n *yaml.Node, path string, v reflect.Value) {
	o, isOverlay := d.overlays[n]
	raw := n.Value
	if isOverlay {
		raw = o.text
	}
	ref, err := parseReference(raw)
	fromEnvironment := isOverlay && o.environment
	if err != nil && fromEnvironment {
		err = nil // a password may contain what looks like half a reference
	}
	if n.Kind == yaml.ScalarNode && ref == nil && err == nil && (!isNull(n) || fromEnvironment) {
		switch {
		case raw == "":
			v.Set(reflect.ValueOf(Secret{}))
			return
		case fromEnvironment:
			v.Set(reflect.ValueOf(NewSecret(raw, "(from "+o.source+")")))
			return
		}
		name := strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(strings.TrimPrefix(path, "sinks.")))
		d.fail(n, path, "a secret must not be written here: write ${env:%s} and set that variable, or ${file:/run/secrets/%s}",
			name, strings.ToLower(name))
		return
	}
	text, ok := d.text(n, path, "a reference such as ${env:NAME}")
	if !ok {
		return
	}
	v.Set(reflect.ValueOf(NewSecret(text, ref.shown())))
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// describe says what a node holds, without its content: it may be a secret in the wrong place.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a section"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.Tag {
	case "!!null":
		return "nothing"
	case "!!bool":
		return n.Value
	case "!!int", "!!float":
		return "the number " + n.Value
	case "!!timestamp":
		return "a date"
	}
	return "text"
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
