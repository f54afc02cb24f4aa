package tds_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	mssql "github.com/microsoft/go-mssqldb"

	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/internal/testenv/tds"
)

// TestRecord keeps what a session does, in T-SQL.
func TestRecord(t *testing.T) {
	db, double := private(t)
	exec(t, db, "CREATE TABLE dbo.T (Id int NOT NULL)")
	double.Record()
	s := session(t, db)
	tx, err := s.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	exec(t, tx, "UPDATE dbo.T SET Id = 2; IF @@ROWCOUNT = 0 INSERT INTO dbo.T VALUES (@p1)", 1)
	st, err := tx.PrepareContext(t.Context(), mssql.CopyIn("dbo.T", mssql.BulkOptions{}, "Id"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Exec(int64(3)); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Exec(); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, step := range double.Recorded() {
		if i > 0 && step.N != double.Recorded()[i-1].N+1 {
			t.Errorf("step %d is numbered %d", i, step.N)
		}
		got = append(got, string(step.Kind)+" "+step.Text)
	}
	want := []string{
		"begin ", "sql UPDATE dbo.T SET Id = 2", "sql INSERT INTO dbo.T VALUES (@p1)", "sql SET FMTONLY ON",
		"sql select * from [dbo].[T]", "sql SET FMTONLY OFF", "sql INSERT BULK [dbo].[T] ([Id] int)", "bulk dbo.T", "commit ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestFaults lets one step of a transaction fail in every way and looks at what became of it.
func TestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		kind  tds.Kind
		text  string
		fault tds.Fault
		want  int32 // an error number, or 0: the connection is lost
		rows  int64
	}{
		"cut before a statement":   {tds.KindSQL, "INSERT", tds.Fault{Before: true}, 0, 0},
		"cut after a statement":    {tds.KindSQL, "INSERT", tds.Fault{After: true}, 0, 0},
		"cut before the commit":    {tds.KindCommit, "", tds.Fault{Before: true}, 0, 0},
		"outcome unknown":          {tds.KindCommit, "", tds.Fault{After: true}, 0, 1},
		"deadlock":                 {tds.KindSQL, "INSERT", tds.Fault{Error: 1205}, 1205, 0},
		"lock timeout":             {tds.KindSQL, "INSERT", tds.Fault{Error: 1222}, 1222, 0},
		"another error at commit ": {tds.KindCommit, "", tds.Fault{Error: 9002}, 9002, 0},
	} {
		t.Run(name, func(t *testing.T) {
			db, double := private(t)
			exec(t, db, "CREATE TABLE dbo.T (Id int NOT NULL)")
			s := session(t, db)
			exec(t, s, "SET XACT_ABORT ON")
			var hit atomic.Bool
			double.Intercept(func(step tds.Step) tds.Fault {
				if step.Kind == c.kind && strings.HasPrefix(step.Text, c.text) && hit.CompareAndSwap(false, true) {
					return c.fault
				}
				return tds.Fault{}
			})
			tx, err := s.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			_, err = tx.ExecContext(t.Context(), "INSERT INTO dbo.T VALUES (1)")
			if err == nil {
				err = tx.Commit()
			}
			_ = tx.Rollback() // whatever is left
			if err == nil || !hit.Load() {
				t.Fatalf("%v, hit: %v", err, hit.Load())
			}
			var server mssql.Error
			if known := errors.As(err, &server) && server.Number != 0; known != (c.want != 0) {
				t.Errorf("%v, want error %d", err, c.want)
			} else if known && server.All[0].Number != c.want {
				t.Errorf("error %d, want %d", server.All[0].Number, c.want)
			}
			if n := one(t, db, "SELECT COUNT(*) FROM dbo.T"); n != c.rows {
				t.Errorf("%v rows, want %d", n, c.rows)
			}
		})
	}
}

// TestDelay holds a step back until the client has cancelled it.
func TestDelay(t *testing.T) {
	db, double := private(t)
	s := session(t, db)
	ctx, cancel := context.WithCancel(t.Context())
	double.Intercept(func(tds.Step) tds.Fault {
		cancel()
		return tds.Fault{Delay: time.Hour}
	})
	if _, err := s.ExecContext(ctx, "SELECT 1"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want the cancellation", err)
	}
	double.Intercept(nil)
	exec(t, s, "SELECT 1")
}

// TestCrash ends the server in the middle of a transaction and starts it on the same port with what was committed.
func TestCrash(t *testing.T) {
	server := testenv.NewSQLServer(t)
	db := openOn(t, server, server.CreateDatabase(t))
	exec(t, db, "CREATE TABLE dbo.T (Id int NOT NULL); INSERT INTO dbo.T VALUES (1)")
	s := session(t, db)
	exec(t, s, "BEGIN TRAN; INSERT INTO dbo.T VALUES (2)")
	addr := server.Addr
	if err := server.Kill9(); err != nil {
		t.Fatal(err)
	}
	if err := db.PingContext(t.Context()); err == nil {
		t.Error("a server that has crashed answers")
	}
	if _, err := s.ExecContext(t.Context(), "COMMIT"); err == nil {
		t.Error("a transaction was committed on a server that has crashed")
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if server.Addr != addr {
		t.Errorf("the server came back on %s, it was on %s", server.Addr, addr)
	}
	if n := one(t, db, "SELECT COUNT(*) FROM dbo.T"); n != int64(1) {
		t.Errorf("%v rows after the crash, want the committed one", n)
	}
	server.Double.Drop()
	exec(t, db, "INSERT INTO dbo.T VALUES (3)")
}
