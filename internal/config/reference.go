package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// reference is a value that lies elsewhere: ${env:NAME}, ${env:NAME:-default}, ${file:PATH}, ${vault:…}.
type reference struct {
	kind       string
	name       string
	fallback   string
	hasDefault bool
}

// parseReference returns nil when the text is no reference.
func parseReference(text string) (*reference, error) {
	if !strings.Contains(text, "${") {
		return nil, nil
	}
	body, ok := strings.CutPrefix(text, "${")
	if ok {
		body, ok = strings.CutSuffix(body, "}")
	}
	kind, name, found := strings.Cut(body, ":")
	if !ok || strings.Contains(body, "${") {
		return nil, errors.New("a reference must be the whole value: ${env:NAME}, ${env:NAME:-default} or ${file:PATH}")
	}
	r := &reference{kind: kind, name: name}
	if kind == "env" {
		r.name, r.fallback, r.hasDefault = strings.Cut(name, ":-")
	}
	if !found || r.name == "" || (kind != "env" && kind != "file" && kind != "vault") {
		return nil, errors.New("not a reference: write ${env:NAME}, ${env:NAME:-default} or ${file:PATH}")
	}
	return r, nil
}

// shown writes the reference without its default, which may be a secret.
func (r *reference) shown() string {
	if r == nil {
		return ""
	}
	if r.hasDefault {
		return "${" + r.kind + ":" + r.name + ":-" + hidden + "}"
	}
	return "${" + r.kind + ":" + r.name + "}"
}

// references resolves references; dir is what paths in ${file:} are relative to.
type references struct {
	lookupEnv func(string) (string, bool)
	readFile  func(string) ([]byte, error)
	dir       string
}

func (rs references) resolve(r reference) (string, error) {
	switch r.kind {
	case "env":
		if v, ok := rs.lookupEnv(r.name); ok && v != "" {
			return v, nil
		}
		if r.hasDefault {
			return r.fallback, nil
		}
		return "", fmt.Errorf("the environment variable %s is not set: set it, or write ${env:%s:-default}", r.name, r.name)
	case "file":
		path := r.name
		if !filepath.IsAbs(path) {
			path = filepath.Join(rs.dir, path)
		}
		b, err := rs.readFile(path)
		if err != nil {
			return "", fmt.Errorf("read the file of ${file:%s}: %w", r.name, err)
		}
		return strings.TrimRight(string(b), "\r\n"), nil
	default:
		return "", errors.New("vault references come with a later version: use ${env:NAME} or ${file:PATH}")
	}
}
