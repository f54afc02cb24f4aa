package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	capture "github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/internal/config"
	"github.com/etlsandbox/cdc/joiner"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/view"
)

// compiled is one view file and what became of it: a plan, or the reason why there is none.
type compiled struct {
	File string
	Plan *view.Plan
	// Reads are the tables that the view's FROM names, as far as the compiler has come; nil if it names one that
	// is not there.
	Reads []*change.Table
	// Cascades are foreign keys that change the view's tables without the server logging it.
	Cascades []joiner.Cascade
	Err      error
}

// viewFiles lists the view files of the configured folder in the order of their names.
func viewFiles(c *config.Config) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(c.Views.Dir, "*.sql"))
	if err != nil {
		return nil, fmt.Errorf("list views.dir %s: %w", c.Views.Dir, err)
	}
	return files, nil
}

// compile compiles view files against the source's tables. An error is about the source; what is wrong
// with a view stands with it.
func compile(ctx context.Context, c *config.Config, files []string) ([]compiled, error) {
	sc, err := sourceConfig(&c.Source)
	if err != nil {
		return nil, err
	}
	src, err := capture.Open(ctx, sc)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	tables, err := src.Tables(ctx, sourceFilter(&c.Source))
	if err != nil && !errors.Is(err, capture.ErrUnsupported) {
		return nil, err
	}
	return compileAll(files, catalog(tables), os.ReadFile), nil
}

func compileAll(files []string, cat view.Catalog, read func(string) ([]byte, error)) []compiled {
	out := make([]compiled, 0, len(files))
	for _, file := range files {
		v := compiled{File: file}
		text, err := read(file)
		if err != nil {
			v.Err = fmt.Errorf("read the view: %w", err)
		} else {
			v.Plan, v.Err = view.Compile(file, string(text), noting{cat, &v.Reads})
		}
		if v.Err == nil {
			var engine *joiner.Engine
			if engine, v.Err = joiner.New([]*view.Plan{v.Plan}); v.Err == nil {
				v.Cascades = engine.Cascades()
			}
		}
		out = append(out, v)
	}
	return out
}

// noting is a catalog that notes what was found in it.
type noting struct {
	view.Catalog
	found *[]*change.Table
}

// Table implements view.Catalog.
func (n noting) Table(name change.TableID) (*change.Table, error) {
	t, err := n.Catalog.Table(name)
	if err != nil {
		*n.found = nil
		return nil, err
	}
	*n.found = append(*n.found, t)
	return t, nil
}

// catalog finds tables for views. A name without a database means the one captured table of that name.
type catalog []*change.Table

// Table implements view.Catalog.
func (c catalog) Table(name change.TableID) (*change.Table, error) {
	var found []*change.Table
	for _, t := range c {
		if strings.EqualFold(t.ID.Name, name.Name) && (name.DB == "" || strings.EqualFold(t.ID.DB, name.DB)) {
			found = append(found, t)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, errors.New("it is not captured: it does not exist, the account may not read it, or source.tables leaves it out")
	}
	var in []string
	for _, t := range found {
		in = append(in, t.ID.String())
	}
	return nil, fmt.Errorf("it is in several databases: write %s", strings.Join(in, " or "))
}
