package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Sizes beyond which a reader loses the thread.
const (
	mostFileLines     = 500
	mostFunctionLines = 100
	mostMethods       = 4
)

// allowed lists what may break a size rule, "path: name", each with its reason.
var allowed = map[string]string{}

// sampleWords belong to the sample database. Product code that knows them is
// not general.
var sampleWords = regexp.MustCompile(`(?i)rental|payment|customerorderflat`)

// vagueNames say where code is, not what it does.
var vagueNames = []string{"util", "utils", "common", "helper", "helpers", "manager", "managers", "misc", "base"}

// source is one Go file; path is relative to the module, with slashes.
type source struct {
	path string
	text []byte
	fset *token.FileSet
	file *ast.File
}

func (s source) test() bool { return strings.HasSuffix(s.path, "_test.go") }

func (s source) in(trees ...string) bool {
	return slices.ContainsFunc(trees, func(tree string) bool { return strings.HasPrefix(s.path, tree+"/") })
}

func (s source) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", s.path, s.fset.Position(n.Pos()).Line)
}

func parse(path string, text []byte) (source, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, text, parser.ParseComments|parser.SkipObjectResolution)
	return source{path: path, text: text, fset: fset, file: file}, err
}

// rules each look at one file and say what is wrong with it.
var rules = map[string]func(source) []string{
	"file size":     checkFileSize,
	"function size": checkFunctions,
	"interfaces":    checkInterfaces,
	"sample words":  checkSampleWords,
	"environment":   checkEnvironment,
	"sleep":         checkSleep,
	"package name":  checkPackageName,
	"init":          checkInit,
	"pure engine":   checkPureEngine,
	"log keys":      checkLogKeys,
}

func TestSource(t *testing.T) {
	const root = "../.."
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		s, err := parse(filepath.ToSlash(rel), text)
		if err != nil {
			return err
		}
		if ast.IsGenerated(s.file) {
			return nil
		}
		files++
		for rule, check := range rules {
			for _, problem := range check(s) {
				t.Errorf("%s: %s", rule, problem)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 20 {
		t.Errorf("looked at %d files: the test looks at the wrong place", files)
	}
}

func checkFileSize(s source) []string {
	n := strings.Count(string(s.text), "\n")
	if n <= mostFileLines || allowed[s.path] != "" {
		return nil
	}
	return []string{fmt.Sprintf("%s has %d lines, more than %d: split it by task", s.path, n, mostFileLines)}
}

func checkFunctions(s source) []string {
	var problems []string
	for _, decl := range s.file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Body == nil {
			continue
		}
		n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1
		if n > mostFunctionLines && allowed[s.path+": "+f.Name.Name] == "" {
			problems = append(problems, fmt.Sprintf("%s: function %s has %d lines, more than %d", s.at(f), f.Name.Name, n, mostFunctionLines))
		}
	}
	return problems
}

func checkInterfaces(s source) []string {
	var problems []string
	ast.Inspect(s.file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		i, ok := spec.Type.(*ast.InterfaceType)
		if !ok {
			return true
		}
		methods := 0
		for _, field := range i.Methods.List {
			methods += max(1, len(field.Names)) // an embedded interface counts as one
		}
		if methods > mostMethods && allowed[s.path+": "+spec.Name.Name] == "" {
			problems = append(problems, fmt.Sprintf("%s: interface %s has %d methods, more than %d", s.at(spec), spec.Name.Name, methods, mostMethods))
		}
		return true
	})
	return problems
}

func checkSampleWords(s source) []string {
	if s.test() || s.in("cmd/cdc", "internal/sample") {
		return nil
	}
	var problems []string
	for i, line := range strings.Split(string(s.text), "\n") {
		if word := sampleWords.FindString(line); word != "" {
			problems = append(problems, fmt.Sprintf("%s:%d: the word %q belongs to the sample", s.path, i+1, word))
		}
	}
	return problems
}

// calls finds selectors of a package, such as os.Getenv, by its import path.
func calls(s source, path string, names ...string) []ast.Node {
	local := ""
	for _, imp := range s.file.Imports {
		if p, err := strconv.Unquote(imp.Path.Value); err != nil || p != path {
			continue
		}
		local = path[strings.LastIndex(path, "/")+1:]
		if imp.Name != nil {
			local = imp.Name.Name
		}
	}
	if local == "" {
		return nil
	}
	var found []ast.Node
	ast.Inspect(s.file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == local && slices.Contains(names, sel.Sel.Name) {
			found = append(found, sel)
		}
		return true
	})
	return found
}

func imports(s source, path string) bool {
	return slices.ContainsFunc(s.file.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == strconv.Quote(path) })
}

func checkEnvironment(s source) []string {
	if s.test() || s.in("cmd/cdc", "internal/testenv", "examples") {
		return nil
	}
	var problems []string
	if imports(s, "flag") {
		problems = append(problems, fmt.Sprintf("%s imports flag: only commands read flags", s.path))
	}
	for _, n := range calls(s, "os", "Getenv", "LookupEnv", "Environ", "Args", "Exit") {
		problems = append(problems, fmt.Sprintf("%s: os.%s: only commands see their process's surroundings", s.at(n), n.(*ast.SelectorExpr).Sel.Name))
	}
	return problems
}

func checkSleep(s source) []string {
	var problems []string
	if s.test() {
		for _, n := range calls(s, "time", "Sleep") {
			problems = append(problems, fmt.Sprintf("%s: a test waits for a signal or uses fake time (testing/synctest), it does not sleep", s.at(n)))
		}
	}
	return problems
}

func checkPackageName(s source) []string {
	if name := s.file.Name.Name; slices.Contains(vagueNames, strings.TrimSuffix(name, "_test")) {
		return []string{fmt.Sprintf("%s: package %s says nothing about what it holds", s.path, name)}
	}
	return nil
}

func checkInit(s source) []string {
	var problems []string
	for _, decl := range s.file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			problems = append(problems, fmt.Sprintf("%s: init acts on import; let the caller call", s.at(f)))
		}
	}
	return problems
}

// checkPureEngine keeps clock, chance and concurrency out of the joiner, so
// that the same input gives the same output at any time.
func checkPureEngine(s source) []string {
	if s.test() || !s.in("joiner") {
		return nil
	}
	var problems []string
	for _, n := range calls(s, "time", "Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep") {
		problems = append(problems, fmt.Sprintf("%s: the engine has no clock", s.at(n)))
	}
	for _, path := range []string{"math/rand", "math/rand/v2", "crypto/rand", "log", "log/slog", "net", "net/http", "os", "os/exec", "sync", "sync/atomic"} {
		if imports(s, path) {
			problems = append(problems, fmt.Sprintf("%s imports %s: the engine has no chance, log, files, network or concurrency", s.path, path))
		}
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		if g, ok := n.(*ast.GoStmt); ok {
			problems = append(problems, fmt.Sprintf("%s: the engine starts no goroutine; parallelism belongs to the caller", s.at(g)))
		}
		return true
	})
	return problems
}

// TestSourceRules shows that each rule can fail, and does not where it must not.
func TestSourceRules(t *testing.T) {
	long := strings.Repeat("\n", mostFileLines+1)
	body := strings.Repeat("\t_ = 1\n", mostFunctionLines)
	for _, c := range []struct {
		rule, path, text string
		bad              bool
	}{
		{"file size", "a/b.go", "package b" + long, true},
		{"file size", "a/b.go", "package b\n", false},
		{"function size", "a/b.go", "package b\nfunc f() {\n" + body + "}\n", true},
		{"function size", "a/b.go", "package b\nfunc f() {\n}\n" + body[:0], false},
		{"interfaces", "a/b.go", "package b\ntype I interface { A(); B(); C(); D(); E() }", true},
		{"interfaces", "a/b.go", "package b\ntype I interface { A(); B(); C(); D() }", false},
		{"sample words", "joiner/a.go", "package b\n// a Rental's row\n", true},
		{"sample words", "joiner/a.go", "package b\nvar x = `PAYMENT`\n", true},
		{"sample words", "joiner/a_test.go", "package b\n// rental\n", false},
		{"sample words", "internal/sample/a.go", "package b\n// rental\n", false},
		{"environment", "joiner/a.go", "package b\nimport \"os\"\nvar x = os.Getenv(`X`)\n", true},
		{"environment", "joiner/a.go", "package b\nimport sys \"os\"\nvar x, _ = sys.LookupEnv(`X`)\n", true},
		{"environment", "internal/a.go", "package b\nimport \"flag\"\n", true},
		{"environment", "cmd/cdc/a.go", "package b\nimport \"os\"\nvar x = os.Getenv(`X`)\n", false},
		{"sleep", "a/b_test.go", "package b\nimport \"time\"\nfunc f() { time.Sleep(1) }\n", true},
		{"sleep", "a/b_test.go", "package b\nimport \"time\"\nvar d = time.Second\n", false},
		{"package name", "a/b.go", "package util\n", true},
		{"package name", "a/b.go", "package change\n", false},
		{"init", "a/b.go", "package b\nfunc init() {}\n", true},
		{"init", "a/b.go", "package b\ntype t int\nfunc (t) init() {}\n", false},
		{"pure engine", "joiner/a.go", "package b\nimport \"time\"\nvar x = time.Now()\n", true},
		{"pure engine", "joiner/a.go", "package b\nimport \"log/slog\"\n", true},
		{"pure engine", "joiner/a.go", "package b\nfunc f() { go f() }\n", true},
		{"pure engine", "joiner/a.go", "package b\nimport \"time\"\nvar x time.Duration\n", false},
		{"pure engine", "internal/a.go", "package b\nfunc f() { go f() }\n", false},
	} {
		s, err := parse(c.path, []byte(c.text))
		if err != nil {
			t.Fatal(err)
		}
		if got := rules[c.rule](s); (len(got) > 0) != c.bad {
			t.Errorf("rule %q on %s %q: %q, want a complaint: %v", c.rule, c.path, c.text, got, c.bad)
		}
	}
}
