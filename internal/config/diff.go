package config

import (
	"bytes"
	"maps"
	"reflect"
	"slices"

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
	}
	return append(out, Change{Path: path, Old: flow(a), New: flow(b), Live: live})
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
