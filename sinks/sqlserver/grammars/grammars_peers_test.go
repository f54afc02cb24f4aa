//go:build peers

// Package grammars has grammars of T-SQL that are not ours read every text that the SQL Server sink can send.
package grammars

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etlsandbox/cdc/internal/testenv"
)

const renderedDir = "../testdata/rendered"

func TestMain(m *testing.M) { testenv.Main(m) }

// grammars prints, for each grammar and file, what the grammar says against it; "" when it takes it.
const grammars = `
import json, logging, sys
import sqlfluff, sqlglot
from sqlglot.errors import ErrorLevel
logging.disable(logging.CRITICAL)

def fluff(text):
    try:
        sqlfluff.parse(text, dialect="tsql")
    except Exception as e:
        return str(e)
    return ""

def glot(text):
    try:
        for e in sqlglot.parse(text, read="tsql", error_level=ErrorLevel.RAISE):
            if e is not None and e.key == "command" and not text.lstrip().upper().startswith(("EXEC", "BEGIN")):
                return "not understood: " + e.sql()
    except Exception as e:
        return str(e)
    return ""

json.dump({p: {"sqlfluff": fluff(t), "sqlglot": glot(t)} for p, t in json.load(sys.stdin).items()}, sys.stdout)
`

// unknownTo are statements of T-SQL that a grammar does not know. The test fails when it learns them.
var unknownTo = map[string][]string{
	"sqlglot": {"savepoint.sql", "isolation_snapshot.sql"},
}

// foreign are statements of other dialects: what takes them is no check of T-SQL.
var foreign = map[string]string{
	"on conflict": "INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO NOTHING;",
	"limit":       "SELECT a FROM t LIMIT 3;",
	"using":       "DELETE FROM t USING s WHERE t.a = s.a;",
}

// TestGrammars has two grammars of T-SQL, neither of them ours, read every text that the sink can send.
func TestGrammars(t *testing.T) {
	python := testenv.Python(t, "tsql-grammars", "sqlfluff==4.5.0", "sqlglot==30.30.0")
	texts := map[string]string{}
	paths, err := filepath.Glob(renderedDir + "/*.sql")
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d texts in %s (error %v)", len(paths), renderedDir, err)
	}
	for _, p := range paths {
		raw, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.Base(p)] = string(raw)
	}
	for name, sql := range foreign {
		texts[name] = sql
	}
	in, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, "-c", grammars)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("run the grammars: %v: %s", err, stderr.String())
	}
	said := map[string]map[string]string{}
	if err := json.Unmarshal(out, &said); err != nil {
		t.Fatalf("read %s: %v", out, err)
	}
	for name := range texts {
		if _, ok := foreign[name]; ok {
			if said[name]["sqlfluff"] == "" {
				t.Errorf("sqlfluff takes %q: it checks nothing", foreign[name])
			}
			continue
		}
		for grammar, against := range said[name] {
			known := strings.Contains(" "+strings.Join(unknownTo[grammar], " ")+" ", " "+name+" ")
			switch {
			case against != "" && !known:
				t.Errorf("%s does not take %s: %s\n%s", grammar, name, against, texts[name])
			case against == "" && known:
				t.Errorf("%s takes %s by now: strike it from the exceptions", grammar, name)
			}
		}
		if len(said[name]) != 2 {
			t.Errorf("%s was read by %d grammars", name, len(said[name]))
		}
	}
	t.Logf("%d texts, 2 grammars", len(texts)-len(foreign))
}
