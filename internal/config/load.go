package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

var typeConfig = reflect.TypeFor[Config]()

// SearchPath is where the file is looked for when none is named.
var SearchPath = [...]string{"cdc.yaml", "/etc/cdc/cdc.yaml"}

// ErrNoFile says that there is no configuration at all.
var ErrNoFile = errors.New("no configuration: neither ./cdc.yaml nor /etc/cdc/cdc.yaml exists; write one with `cdc init`, or name one with --config")

// Options says where settings come from.
type Options struct {
	// File is the file to read; empty: the first of SearchPath that exists.
	File string
	// Environ is the process environment as KEY=VALUE, for settings and for ${env:} references.
	Environ []string
	// Sets are the KEY=VALUE pairs of --set, the later ones winning.
	Sets []string
	// ReadFile reads the file and what ${file:} names; nil: os.ReadFile.
	ReadFile func(string) ([]byte, error)
}

// Load reads, lays over each other and checks all settings. The error is Problems when settings are wrong.
// Relative paths in the settings are made relative to the file's folder, not to the working directory, so
// that every command finds the same data folder.
func Load(o Options) (*Config, error) {
	if o.ReadFile == nil {
		o.ReadFile = os.ReadFile
	}
	file, data, err := readConfig(o)
	if err != nil {
		return nil, err
	}
	return Parse(file, data, o)
}

func readConfig(o Options) (file string, data []byte, err error) {
	if o.File != "" {
		data, err = o.ReadFile(o.File)
		if err != nil {
			return "", nil, fmt.Errorf("read the configuration: %w", err)
		}
		return o.File, data, nil
	}
	for _, file := range SearchPath {
		data, err := o.ReadFile(file)
		if err == nil {
			return file, data, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", nil, fmt.Errorf("read the configuration: %w", err)
		}
	}
	if len(o.Sets) > 0 {
		return "", nil, nil
	}
	for _, kv := range o.Environ {
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, EnvPrefix) && isSetting(strings.TrimPrefix(name, EnvPrefix)) {
			return "", nil, nil
		}
	}
	return "", nil, ErrNoFile
}

// Parse is Load for a file's text that is already read; file is its name in messages.
func Parse(file string, data []byte, o Options) (*Config, error) {
	c, problems := parse(file, data, o)
	if len(problems) > 0 {
		return nil, problems
	}
	return c, nil
}

// DataDir returns the data folder alone, also from a file in which other settings are wrong: the commands
// that talk to a running daemon must find it whatever has become of its file.
func DataDir(o Options) (string, error) {
	if o.ReadFile == nil {
		o.ReadFile = os.ReadFile
	}
	file, data, err := readConfig(o)
	if err != nil {
		return "", err
	}
	c, problems := parse(file, data, o)
	for _, p := range problems {
		if c == nil || p.Path == "data_dir" || p.Path == "" {
			return "", problems
		}
	}
	return c.DataDir, nil
}

// parse returns what could be read, and everything that is wrong; nil when the text is no YAML.
func parse(file string, data []byte, o Options) (*Config, Problems) {
	if o.ReadFile == nil {
		o.ReadFile = os.ReadFile
	}
	root, err := parseRoot(data)
	if err != nil {
		return nil, Problems{syntaxProblem(file, err)}
	}
	d := &decoder{
		file: file, overlays: map[*yaml.Node]overlay{}, places: map[string]Place{}, broken: map[string]bool{},
		refs: references{lookupEnv: lookup(o.Environ), readFile: o.ReadFile, dir: filepath.Dir(file)},
	}
	c := Default()
	if root.Kind == yaml.MappingNode {
		d.environment(root, o.Environ)
		d.sets(root, o.Sets)
	}
	d.value(root, "", reflect.ValueOf(c).Elem(), field{})
	c.complete()
	if root.Kind == yaml.MappingNode {
		d.need(reflect.ValueOf(c).Elem(), "")
		d.check(c)
	}
	d.problems.sort()
	c.resolvePaths(d.refs.dir)
	c.origin = origin{file: file, places: d.places}
	return c, d.problems
}

// File returns the name of the file that was read, "" without one.
func (c *Config) File() string { return c.origin.file }

func (c *Config) resolvePaths(dir string) {
	paths := []*string{
		&c.DataDir, &c.Views.Dir, &c.Contracts.Dir, &c.Source.TLS.CA, &c.Source.TLS.Cert, &c.Source.TLS.Key,
		&c.Broker.TLS.CA, &c.Broker.TLS.Cert, &c.Broker.TLS.Key, &c.Admin.TLS.Cert, &c.Admin.TLS.Key,
	}
	for name, s := range c.Sinks {
		for _, p := range []*string{&s.TLS.CA, &s.TLS.Cert, &s.TLS.Key} {
			*p = under(dir, *p)
		}
		c.Sinks[name] = s
	}
	for _, p := range paths {
		*p = under(dir, *p)
	}
}

func under(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

func lookup(environ []string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, kv := range environ {
			if k, v, ok := strings.Cut(kv, "="); ok && k == name {
				return v, true
			}
		}
		return "", false
	}
}

var syntaxLine = regexp.MustCompile(`^yaml: line (\d+): `)

// grammarProblem matches what yaml.v3's parser says, which counts lines from 0; its scanner counts them from 1.
var grammarProblem = regexp.MustCompile(`^(did not find expected (<|node content|'-' indicator|key$|',')|found (undefined tag handle|duplicate %|incompatible YAML))`)

// syntaxProblem places an error of the YAML parser, which tells the line only in its text.
func syntaxProblem(file string, err error) Problem {
	text := err.Error()
	place := Place{Source: file, Line: 1, Column: 1}
	if m := syntaxLine.FindStringSubmatch(text); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			place.Line = n
		}
		text = strings.TrimPrefix(text, m[0])
		if grammarProblem.MatchString(text) {
			place.Line++
		}
	}
	return Problem{Place: place, What: "not YAML: " + strings.TrimPrefix(text, "yaml: ")}
}
