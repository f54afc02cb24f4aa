package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"

	"gopkg.in/yaml.v3"
)

const startForms = "write snapshot, now, {gtid: …}, {file: …, position: …} or {time: 2026-01-02T03:04:05Z}"

// start decodes source.start, which is a word or one of three mappings.
func (d *decoder) start(n *yaml.Node, path string, v reflect.Value) {
	if n.Kind != yaml.MappingNode {
		text, ok := d.text(n, path, "a place to start")
		if !ok {
			return
		}
		if k := StartKind(text); k == StartSnapshot || k == StartNow {
			v.Set(reflect.ValueOf(Start{Kind: k}))
			return
		}
		d.fail(n, path, "%q is not a place to start: %s", text, startForms)
		return
	}
	var s Start
	failed := false
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		p := join(path, key.Value)
		if !slices.Contains([]string{"gtid", "file", "position", "time"}, key.Value) {
			d.unknownKey(key, path, []string{"gtid", "file", "position", "time"})
			failed = true
			continue
		}
		text, ok := d.text(val, p, "text")
		if !ok {
			failed = true
			continue
		}
		if err := s.set(key.Value, text); err != nil {
			d.fail(val, p, "%v", err)
			failed = true
		}
	}
	if failed {
		return
	}
	if err := s.settle(len(n.Content) / 2); err != nil {
		d.fail(n, path, "%v", err)
		return
	}
	v.Set(reflect.ValueOf(s))
}

func (s *Start) set(key, text string) error {
	var err error
	switch key {
	case "gtid":
		s.GTID = text
	case "file":
		s.File = text
	case "position":
		if s.Position, err = strconv.ParseUint(text, 10, 64); err != nil {
			return fmt.Errorf("want a whole number, got %q", text)
		}
	case "time":
		if s.Time, err = time.Parse(time.RFC3339, text); err != nil {
			return fmt.Errorf("%q is not a time: write 2026-01-02T03:04:05Z", text)
		}
	}
	return nil
}

// settle derives the kind from the keys given, of which there were n.
func (s *Start) settle(n int) error {
	switch {
	case s.GTID != "" && n == 1:
		s.Kind = StartGTID
	case s.File != "" && s.Position >= 4 && n == 2:
		s.Kind = StartFile
	case s.File != "" && n == 2:
		return fmt.Errorf("position %d lies before the first event of a binlog, which is at 4", s.Position)
	case !s.Time.IsZero() && n == 1:
		s.Kind = StartTime
	default:
		return fmt.Errorf("not a place to start: %s", startForms)
	}
	return nil
}
