package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// logKeys are the keys of log records besides slog's own, as internal/telemetry declares them. Whatever else a record
// has to say is part of its message.
var logKeys = []string{"stage", "stream", "table", "view", "sink", "seq", "position", "err", "hint", "trace_id"}

// logMethods are those of slog.Logger that take keys, and where the keys begin.
var logMethods = map[string]int{
	"Debug": 1, "Info": 1, "Warn": 1, "Error": 1, "With": 0,
	"DebugContext": 2, "InfoContext": 2, "WarnContext": 2, "ErrorContext": 2,
}

// checkLogKeys finds records of a logger (what is called log, Log, logger or slog) whose keys are not among logKeys.
func checkLogKeys(s source) (problems []string) {
	if s.test() {
		return nil
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		f, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !isLogger(f.X) {
			return true
		}
		first, ok := logMethods[f.Sel.Name]
		if !ok || len(call.Args) < first {
			return true
		}
		for args := call.Args[first:]; len(args) > 0; {
			arg, size := args[0], 2
			if attr, isAttr := arg.(*ast.CallExpr); isAttr && len(attr.Args) > 0 { // slog.String(key, …)
				arg, size = attr.Args[0], 1
			}
			if key, known := logKey(arg); known && !slices.Contains(logKeys, key) {
				problems = append(problems, fmt.Sprintf("%s: log key %q is not one of %s", s.at(arg), key, strings.Join(logKeys, ", ")))
			}
			args = args[min(size, len(args)):]
		}
		return true
	})
	return problems
}

// isLogger reports whether an expression is called as loggers are, or is a logger with further keys.
func isLogger(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.Ident:
		return slices.Contains([]string{"log", "logger", "slog"}, x.Name)
	case *ast.SelectorExpr:
		return slices.Contains([]string{"log", "Log", "logger", "Logger"}, x.Sel.Name)
	case *ast.CallExpr:
		f, ok := x.Fun.(*ast.SelectorExpr)
		return ok && f.Sel.Name == "With" && isLogger(f.X)
	}
	return false
}

// logKey is the key that an expression spells; known is false of anything but a literal.
func logKey(x ast.Expr) (key string, known bool) {
	lit, ok := x.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	key, err := strconv.Unquote(lit.Value)
	return key, err == nil
}
