package config

import (
	"bytes"
	"maps"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Change is one setting that differs between two configurations.
type Change struct {
	Path string `json:"path"`
	// Old and New are as the file would hold them, secrets as their references.
	Old string `json:"old"`
	New string `json:"new"`
	// Live changes are applied by a reload; the others need a restart.
	Live bool `json:"live"`
}

// Diff lists what differs between two configurations, in the order of the file.
func Diff(old, current *Config) []Change {
	changes := diff(nil, reflect.ValueOf(old).Elem(), reflect.ValueOf(current).Elem(), "", false)
	if old.prefixFollows() && current.prefixFollows() { // the change of the name says it
		changes = slices.DeleteFunc(changes, func(c Change) bool { return c.Path == "config.consul.prefix" })
	}
	return changes
}

func diff(out []Change, a, b reflect.Value, path string, live bool) []Change {
	if same(a, b) {
		return out
	}
	switch {
	case isSection(a.Type()):
		for _, f := range fieldsOf(a.Type()) {
			out = diff(out, a.Field(f.index), b.Field(f.index), join(path, f.key), f.live)
		}
		return out
	case a.Kind() == reflect.Map && isSection(a.Type().Elem()):
		keys := map[string]bool{}
		for _, k := range append(sortedKeys(a), sortedKeys(b)...) {
			keys[k] = true
		}
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			av, bv := a.MapIndex(reflect.ValueOf(k)), b.MapIndex(reflect.ValueOf(k))
			p := join(path, k)
			switch {
			case !av.IsValid():
				out = append(out, Change{Path: p, Old: "(none)", New: "(added)", Live: live})
			case !bv.IsValid():
				out = append(out, Change{Path: p, Old: "(present)", New: "(removed)", Live: live})
			default:
				out = diff(out, av, bv, p, false)
			}
		}
		return out
	case a.Kind() == reflect.Slice && isSection(a.Type().Elem()):
		return diffEntries(out, a, b, path, live)
	}
	return append(out, Change{Path: path, Old: flow(a), New: flow(b), Live: live})
}

// SameDeliver reports whether two lists deliver the same, in the same order.
func SameDeliver(a, b []Deliver) bool { return same(reflect.ValueOf(a), reflect.ValueOf(b)) }

// diffEntries lists the entries that one list of sections has and the other has not; the whole lists when only the
// order differs.
func diffEntries(out []Change, a, b reflect.Value, path string, live bool) []Change {
	was, is := entries(a), entries(b)
	n := len(out)
	for _, e := range missing(was, is) {
		out = append(out, Change{Path: path, Old: e, New: "(removed)", Live: live})
	}
	for _, e := range missing(is, was) {
		out = append(out, Change{Path: path, Old: "(none)", New: e, Live: live})
	}
	if len(out) == n {
		out = append(out, Change{Path: path, Old: "[" + strings.Join(was, ", ") + "]", New: "[" + strings.Join(is, ", ") + "]", Live: live})
	}
	return out
}

// missing returns what is oftener in list than in other.
func missing(list, other []string) (out []string) {
	left := map[string]int{}
	for _, e := range other {
		left[e]++
	}
	for _, e := range list {
		if left[e]--; left[e] < 0 {
			out = append(out, e)
		}
	}
	return out
}

// entries writes each section of a list in one line as the file would hold it, without what has its default.
func entries(v reflect.Value) []string {
	out := make([]string, v.Len())
	for i := range out {
		e := v.Index(i)
		none, n := newElement(e.Type()), &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
		for _, f := range fieldsOf(e.Type()) {
			if !same(e.Field(f.index), none.Field(f.index)) {
				n.Content = append(n.Content, scalarNode(f.key, "!!str"), render(e.Field(f.index), "", nil))
			}
		}
		line, err := yaml.Marshal(n)
		if err != nil { // a node made here of nothing but text
			line = []byte(flow(e))
		}
		out[i] = strings.TrimSpace(string(line))
	}
	return out
}

// flow writes a setting in one line.
func flow(v reflect.Value) string {
	n := render(v, "", nil)
	if n.Kind == yaml.ScalarNode {
		return n.Value
	}
	var b bytes.Buffer
	writeJSON(&b, n)
	return b.String()
}
