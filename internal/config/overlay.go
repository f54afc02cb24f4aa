package config

import (
	"fmt"
	"sort"
	"strings"

	"gopkg.in/yaml.v3"
)

// EnvPrefix starts the name of every environment variable that is a setting; levels are joined by "__":
// CDC_SOURCE__HOST is source.host.
const EnvPrefix = "CDC_"

// overlay is a node that came from outside the file.
type overlay struct {
	source      string // "environment CDC_…" or "--set …"
	text        string // as written, before YAML gave it a type
	environment bool
}

// environment lays the variables over the tree, in the order of their names. A variable without "__" that
// is no key at the top is left alone: others use the prefix too.
func (d *decoder) environment(root *yaml.Node, environ []string) {
	settings := make([]string, 0, len(environ))
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, EnvPrefix) || !isSetting(strings.TrimPrefix(name, EnvPrefix)) {
			continue
		}
		settings = append(settings, kv)
	}
	sort.Strings(settings)
	for _, kv := range settings {
		name, text, _ := strings.Cut(kv, "=")
		path := strings.Split(strings.TrimPrefix(name, EnvPrefix), "__")
		for i := range path {
			path[i] = strings.ToLower(path[i])
		}
		d.lay(root, path, overlay{source: "environment " + name, text: text, environment: true})
	}
}

// isSetting tells settings from other variables of the prefix; CDC_VERSION is a likely name for the
// program's own version and never the file's format.
func isSetting(name string) bool {
	if strings.Contains(name, "__") {
		return true
	}
	for _, f := range fieldsOf(typeConfig) {
		if strings.EqualFold(f.key, name) && f.key != "version" && !isSection(f.typ) {
			return true
		}
	}
	return false
}

// sets lays KEY=VALUE pairs over the tree.
func (d *decoder) sets(root *yaml.Node, sets []string) {
	for _, s := range sets {
		key, text, ok := strings.Cut(s, "=")
		key = strings.TrimSpace(key)
		if !ok || key == "" || strings.Contains("."+key+".", "..") {
			d.problems = append(d.problems, Problem{
				Place: Place{Source: "--set " + key}, What: "want KEY=VALUE, such as --set log.level=debug",
			})
			continue
		}
		d.lay(root, strings.Split(key, "."), overlay{source: "--set " + key, text: text})
	}
}

// lay puts one value at a path, making the sections on the way. A section of the file keeps its other keys.
func (d *decoder) lay(root *yaml.Node, path []string, o overlay) {
	at := root
	for i, part := range path {
		last := i == len(path)-1
		j := findKey(at, part)
		if j < 0 {
			key := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: part}
			d.overlays[key] = o
			at.Content = append(at.Content, key, d.mappingNode(o))
			j = len(at.Content) - 1
		}
		if last {
			at.Content[j] = d.overlayNode(o)
			return
		}
		if at.Content[j].Kind != yaml.MappingNode {
			at.Content[j] = d.mappingNode(o)
		}
		at = at.Content[j]
	}
}

func (d *decoder) mappingNode(o overlay) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	d.overlays[n] = o
	return n
}

// overlayNode reads the text as YAML, so that lists and mappings can be written; what is no YAML is text.
func (d *decoder) overlayNode(o overlay) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: o.text}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(o.text), &doc); err == nil && len(doc.Content) == 1 && doc.Content[0].Kind != yaml.AliasNode {
		n = doc.Content[0]
	}
	if n.Kind == yaml.ScalarNode {
		d.overlays[n] = o
		return n
	}
	d.own(n, o)
	return n
}

// own marks a tree of nodes as coming from an overlay; its scalars keep their own text.
func (d *decoder) own(n *yaml.Node, o overlay) {
	part := o
	if n.Kind == yaml.ScalarNode {
		part.text = n.Value
	}
	d.overlays[n] = part
	for _, c := range n.Content {
		d.own(c, o)
	}
}

// findKey returns the index in Content of the value of a key, or -1. Variables cannot hold "-" and have no
// case, so names are compared without both.
func findKey(n *yaml.Node, key string) int {
	normal := func(s string) string { return strings.ReplaceAll(strings.ToLower(s), "-", "_") }
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return i + 1
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if normal(n.Content[i].Value) == normal(key) {
			return i + 1
		}
	}
	return -1
}

// parseRoot reads the file's text into the mapping at its top; an empty file is an empty mapping.
func parseRoot(data []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(strings.NewReader(string(data)))
	var doc yaml.Node
	empty := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: 1, Column: 1}
	if strings.TrimSpace(string(data)) == "" {
		return empty, nil
	}
	if err := dec.Decode(&doc); err != nil {
		if err.Error() == "EOF" {
			return empty, nil
		}
		return nil, err
	}
	var more yaml.Node
	if err := dec.Decode(&more); err == nil {
		return nil, fmt.Errorf("yaml: line %d: a second document begins: keep one", more.Line)
	}
	if len(doc.Content) == 0 || isNull(doc.Content[0]) {
		return empty, nil
	}
	return doc.Content[0], nil
}
