package rewrite_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/etlsandbox/cdc/internal/testenv/tds/datatype"
	"github.com/etlsandbox/cdc/internal/testenv/tds/rewrite"
	"github.com/etlsandbox/cdc/internal/testenv/tds/tsql"
)

// fixed is a catalog of two tables, dbo.T and #s, of the same columns.
type fixed struct{}

func (fixed) Table(_ context.Context, name tsql.Name) (*rewrite.Table, error) {
	column := func(name, typ string) rewrite.Column {
		t, err := rewrite.ParseTypeComment(typ)
		if err != nil {
			panic(err) // a type of this file
		}
		return rewrite.Column{Name: name, Type: t, Nullable: name != "Id"}
	}
	t := &rewrite.Table{ID: 7, Schema: "shop/dbo", Name: "T", Title: "dbo.T", Columns: []rewrite.Column{
		column("Id", "int"), column("Name", "nvarchar(20) Latin1_General_100_BIN2"), column("Label", "nvarchar(5) SQL_Latin1_General_CP1_CI_AS"),
		column("Amount", "decimal(9,2)"), column("At", "datetime2(6)"), column("Raw", "varbinary(16)"),
	}}
	switch strings.ToLower(name.Last()) {
	case "t":
		return t, nil
	case "#s":
		t.Schema, t.Name, t.Title, t.Temp = "pg_temp", "#s", "#s", true
		return t, nil
	}
	return nil, nil
}

func (fixed) Schema(context.Context, string) (int32, error)   { return 1, nil }
func (fixed) Database(context.Context, string) (int32, error) { return 5, nil }

// TestTranslations shows what becomes of statements. The scripts are rewritten with -rewrite, and read.
func TestTranslations(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			batch, err := tsql.Parse(d.Input)
			if err != nil {
				return err.Error() + "\n"
			}
			tr := &rewrite.Translator{Catalog: fixed{}, Variables: map[string]rewrite.Variable{
				"@n": {Type: datatype.Simple(datatype.BigInt), Value: datatype.Of("5")},
				"@s": {Type: datatype.NVar(4000), Value: datatype.Of("x")},
			}}
			var out strings.Builder
			for _, s := range batch {
				if err := translate(t.Context(), &out, tr, s.(*tsql.Source).Statement); err != nil {
					fmt.Fprintf(&out, "%v\n", err)
				}
			}
			return out.String()
		})
	})
}

func translate(ctx context.Context, out *strings.Builder, tr *rewrite.Translator, s tsql.Statement) error {
	var q rewrite.Query
	var err error
	switch s := s.(type) {
	case *tsql.SelectStatement:
		q, _, err = tr.Select(ctx, s.Query)
	case *tsql.Insert:
		q, err = tr.Insert(ctx, s)
	case *tsql.Update:
		q, err = tr.Update(ctx, s)
	case *tsql.Delete:
		q, err = tr.Delete(ctx, s)
	case *tsql.CreateTable:
		sql, err := tr.CreateTable(ctx, s, rewrite.Place{Schema: "shop/dbo", Name: s.Name.Last()})
		fmt.Fprint(out, strings.Join(sql, "\n")+"\n")
		return err
	default:
		return errors.New("no translation of its own")
	}
	if err != nil {
		return err
	}
	for _, l := range q.Locks {
		fmt.Fprintln(out, l)
	}
	fmt.Fprintln(out, q.SQL)
	for i, p := range q.Params {
		fmt.Fprintf(out, "  $%d = %s\n", i+1, p.Text)
	}
	for _, c := range q.Columns {
		fmt.Fprintf(out, "  column %q %s\n", c.Name, c.Type)
	}
	return nil
}
