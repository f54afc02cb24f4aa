package config

import (
	"reflect"
	"strings"
	"time"
)

// field describes one key of a section, from the struct tags.
type field struct {
	key   string
	doc   string
	live  bool
	need  bool
	enum  []string
	index int
	typ   reflect.Type
}

// fieldsOf lists the keys of a section in the order of the file.
func fieldsOf(t reflect.Type) []field {
	var fs []field
	for i := range t.NumField() {
		f := t.Field(i)
		key, ok := f.Tag.Lookup("key")
		if !ok {
			continue
		}
		d := field{key: key, doc: f.Tag.Get("doc"), live: f.Tag.Get("live") != "", need: f.Tag.Get("need") != "", index: i, typ: f.Type}
		if e := f.Tag.Get("enum"); e != "" {
			d.enum = strings.Split(e, "|")
		}
		fs = append(fs, d)
	}
	return fs
}

func keysOf(fs []field) []string {
	keys := make([]string, len(fs))
	for i, f := range fs {
		keys[i] = f.key
	}
	return keys
}

var (
	typeSecret   = reflect.TypeFor[Secret]()
	typeStart    = reflect.TypeFor[Start]()
	typeDuration = reflect.TypeFor[time.Duration]()
	typeSize     = reflect.TypeFor[Size]()
	typeRegexp   = reflect.TypeFor[Regexp]()
	typeServerID = reflect.TypeFor[ServerID]()
	typeFrom     = reflect.TypeFor[From]()
)

// isSection reports whether a type is a struct of keys rather than a single value.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != typeSecret && t != typeStart && t != typeRegexp && t != typeFrom
}

// typeName says in the reference and in messages what a key holds.
func typeName(t reflect.Type) string {
	switch t {
	case typeSecret:
		return "secret"
	case typeStart:
		return "word or mapping"
	case typeDuration:
		return "duration"
	case typeSize:
		return "size"
	case typeRegexp:
		return "regular expression"
	case typeServerID:
		return "number or auto"
	case typeFrom:
		return "view/NAME or table/EXPRESSION"
	}
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "number"
	case reflect.Float64:
		return "decimal number"
	case reflect.Slice:
		return "list of " + typeName(t.Elem())
	case reflect.Map:
		return "mapping to " + typeName(t.Elem())
	case reflect.Struct:
		return "section"
	}
	return t.String()
}

// newElement returns a value of an element type with its defaults.
func newElement(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	switch p := v.Addr().Interface().(type) {
	case *Sink:
		*p = defaultSink()
	case *Deliver:
		*p = defaultDeliver()
	case *Publish:
		*p = defaultPublish()
	}
	return v
}
