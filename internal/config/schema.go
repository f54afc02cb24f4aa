package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
)

// Schema returns the JSON Schema (2020-12) of the file, for editors and other checkers.
func Schema() ([]byte, error) {
	s := schemaOf(typeConfig, field{}, reflect.ValueOf(Default()).Elem())
	s.Schema = "https://json-schema.org/draft/2020-12/schema"
	s.Title = "cdc.yaml"
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the JSON Schema: %w", err)
	}
	return append(b, '\n'), nil
}

// schema is the part of JSON Schema that is used here.
type schema struct {
	Schema      string          `json:"$schema,omitempty"`
	Title       string          `json:"title,omitempty"`
	Description string          `json:"description,omitempty"`
	Type        string          `json:"type,omitempty"`
	Enum        json.RawMessage `json:"enum,omitempty"`
	Pattern     string          `json:"pattern,omitempty"`
	AnyOf       []*schema       `json:"anyOf,omitempty"`
	Default     json.RawMessage `json:"default,omitempty"`
	Properties  properties      `json:"properties,omitempty"`
	Additional  *additional     `json:"additionalProperties,omitempty"`
	Items       *schema         `json:"items,omitempty"`
	Required    []string        `json:"required,omitempty"`
}

// properties keeps the order of the file.
type properties []property

type property struct {
	name   string
	schema *schema
}

// MarshalJSON writes an object in the order of the list.
func (ps properties) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, p := range ps {
		if i > 0 {
			b.WriteByte(',')
		}
		quoteJSON(&b, p.name)
		b.WriteByte(':')
		s, err := json.Marshal(p.schema)
		if err != nil {
			return nil, err
		}
		b.Write(s)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// additional is what keys that are not listed hold; without a schema there are none.
type additional struct{ schema *schema }

// MarshalJSON writes false or the schema.
func (a additional) MarshalJSON() ([]byte, error) {
	if a.schema == nil {
		return []byte("false"), nil
	}
	return json.Marshal(a.schema)
}

const referencePattern = `^\$\{(env|file|vault):.+\}$`

func schemaOf(t reflect.Type, f field, value reflect.Value) *schema {
	s := &schema{Description: f.doc}
	switch {
	case isSection(t):
		s.Type, s.Additional = "object", &additional{}
		for _, c := range fieldsOf(t) {
			s.Properties = append(s.Properties, property{c.key, schemaOf(c.typ, c, value.Field(c.index))})
			if c.need {
				s.Required = append(s.Required, c.key)
			}
		}
		return s
	case t.Kind() == reflect.Map:
		s.Type = "object"
		s.Additional = &additional{schemaOf(t.Elem(), field{}, newElement(t.Elem()))}
		return s
	case t.Kind() == reflect.Slice:
		s.Type = "array"
		s.Items = schemaOf(t.Elem(), field{enum: f.enum}, newElement(t.Elem()))
	default:
		s.scalar(t, f)
	}
	if !f.need && f.key != "" {
		var b bytes.Buffer
		writeJSON(&b, render(value, "", nil))
		s.Default = b.Bytes()
	}
	return s
}

// scalar describes a single value. Every one of them may be a reference instead.
func (s *schema) scalar(t reflect.Type, f field) {
	word := "string"
	switch {
	case t == typeSecret:
		s.Type, s.Pattern = "string", `^(\$\{(env|file|vault):.+\})?$`
		return
	case t == typeDuration:
		s.Type, s.Pattern = "string", `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$|`+referencePattern
		return
	case t == typeSize:
		s.Type, s.Pattern = "string", `^[0-9]+ ?(B|KiB|MiB|GiB|TiB)$|`+referencePattern
		return
	case t == typeFrom:
		s.Type, s.Pattern = "string", `^(view|table)/.+$|`+referencePattern
		return
	case t == typeRegexp:
		s.Type = "string"
		return
	case t == typeServerID:
		s.AnyOf = []*schema{{Type: "integer"}, {Type: "string", Enum: json.RawMessage(`["auto"]`)}, {Type: "string", Pattern: referencePattern}}
		return
	case t == typeStart:
		s.AnyOf = []*schema{{Type: "string"}, {Type: "object"}}
		return
	case t.Kind() == reflect.Int:
		word = "integer"
	case t.Kind() == reflect.Bool:
		word = "boolean"
	case t.Kind() == reflect.Float64:
		word = "number"
	}
	if word == "string" && f.enum == nil {
		s.Type = word
		return
	}
	s.AnyOf = []*schema{{Type: word, Enum: enumJSON(word, f.enum)}, {Type: "string", Pattern: referencePattern}}
}

func enumJSON(word string, words []string) json.RawMessage {
	if words == nil {
		return nil
	}
	var b bytes.Buffer
	b.WriteByte('[')
	for i, w := range words {
		if i > 0 {
			b.WriteByte(',')
		}
		if word == "string" {
			quoteJSON(&b, w)
		} else {
			b.WriteString(w)
		}
	}
	b.WriteByte(']')
	return b.Bytes()
}
