package ddl

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestRead reads testdata/statements: a statement, and what it does.
func TestRead(t *testing.T) {
	datadriven.RunTest(t, "testdata/statements", func(t *testing.T, d *datadriven.TestData) string {
		s := Session{DB: "db", ANSIQuotes: d.HasArg("ansi"), NoBackslash: d.HasArg("nobackslash")}
		switch d.Cmd {
		case "read":
			changes, err := Read(d.Input, s)
			if err != nil {
				if !errors.Is(err, ErrUnreadable) {
					t.Fatal(err)
				}
				if c, ok := Created(d.Input, s); ok {
					return "unreadable, but\n" + print([]Change{c})
				}
				return "unreadable\n"
			}
			return print(changes)
		case "mentions":
			var name string
			d.ScanArgs(t, "name", &name)
			return fmt.Sprintln(Mentions(d.Input, name))
		}
		t.Fatalf("unknown command %s", d.Cmd)
		return ""
	})
}

func print(changes []Change) string {
	names := map[Action]string{Create: "create", Replace: "replace", Drop: "drop", DropAll: "drop all", Rename: "rename", AddColumns: "add columns",
		Reshape: "reshape", Keys: "keys", Rows: "rows", Write: "write"}
	var b strings.Builder
	for _, c := range changes {
		fmt.Fprintf(&b, "%s %s", names[c.Action], c.Table)
		if c.To.Name != "" {
			fmt.Fprintf(&b, " to %s", c.To)
		}
		if c.IfNotExists {
			b.WriteString(" if not exists")
		}
		for _, col := range c.Columns {
			fmt.Fprintf(&b, " (%s", col.Name)
			if col.First {
				b.WriteString(" first")
			}
			if col.After != "" {
				fmt.Fprintf(&b, " after %s", col.After)
			}
			if col.Filled {
				b.WriteString(" filled")
			}
			b.WriteString(")")
		}
		b.WriteString("\n")
	}
	if b.Len() == 0 {
		return "nothing\n"
	}
	return b.String()
}

// FuzzRead: any bytes give changes, nothing, or ErrUnreadable; never a panic, never an empty action.
func FuzzRead(f *testing.F) {
	file, err := os.ReadFile("testdata/statements")
	if err != nil {
		f.Fatal(err)
	}
	for _, block := range strings.Split(string(file), "\n\n") {
		if _, sql, ok := strings.Cut(block, "\n"); ok {
			sql, _, _ = strings.Cut(sql, "\n----")
			f.Add(sql, false)
		}
	}
	f.Add("/*!50100 ALTER TABLE", true)
	f.Add(hugeNumber, false)
	f.Add("ALTER TABLE `a``b` ADD `c", true)
	f.Fuzz(func(t *testing.T, sql string, ansi bool) {
		changes, err := Read(sql, Session{DB: "db", ANSIQuotes: ansi})
		if err != nil && !errors.Is(err, ErrUnreadable) {
			t.Fatal(err)
		}
		for _, c := range changes {
			if c.Action == 0 || c.What == "" {
				t.Errorf("%q gives an empty change %+v", sql, c)
			}
		}
		Mentions(sql, "a")
	})
}

// hugeNumber makes the parser's literals panic.
var hugeNumber = "UPDATE t SET n = 1" + strings.Repeat("0", 400) + ".5"

// TestParserPanic: the parser panics on numbers that it cannot hold; the statement is unreadable then, and named.
func TestParserPanic(t *testing.T) {
	for _, sql := range []string{hugeNumber, "ALTER TABLE t ADD c INT DEFAULT 1e999999999999", "ALTER TABLE t ADD c DECIMAL(65,30) DEFAULT " + strings.Repeat("9", 100)} {
		changes, err := Read(sql, Session{DB: "db"})
		if err == nil {
			if len(changes) == 0 {
				t.Errorf("%.40q changes a table, and is taken for harmless", sql)
			}
			continue
		}
		if !errors.Is(err, ErrUnreadable) || !strings.Contains(err.Error(), strings.ToUpper(sql[:8])) {
			t.Errorf("%.40q: %v", sql, err)
		}
	}
}
