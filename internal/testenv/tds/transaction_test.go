package tds_test

import (
	"context"
	"database/sql"
	"testing"
	"time"
)

// try runs statements in one session; an error ends none but its own, and its number is returned per statement.
func try(t *testing.T, c *sql.Conn, statements ...string) []int32 {
	t.Helper()
	var out []int32
	for _, q := range statements {
		if _, err := c.ExecContext(t.Context(), q); err != nil {
			out = append(out, numberOf(t, q, err))
			continue
		}
		out = append(out, 0)
	}
	return out
}

// TestTransactions plays what errors do to a transaction, with and without XACT_ABORT.
func TestTransactions(t *testing.T) {
	for name, c := range map[string]struct {
		run  []string
		want []int32
		rows int64 // in the end
		open int64 // @@TRANCOUNT in the end
	}{
		"commit":                 {[]string{"BEGIN TRAN", "INSERT INTO dbo.T VALUES (2)", "COMMIT"}, []int32{0, 0, 0}, 2, 0},
		"rollback":               {[]string{"BEGIN TRAN", "INSERT INTO dbo.T VALUES (2)", "ROLLBACK"}, []int32{0, 0, 0}, 1, 0},
		"nested":                 {[]string{"BEGIN TRAN", "BEGIN TRAN", "INSERT INTO dbo.T VALUES (2)", "COMMIT"}, []int32{0, 0, 0, 0}, 2, 1},
		"nested rollback":        {[]string{"BEGIN TRAN", "BEGIN TRAN", "INSERT INTO dbo.T VALUES (2)", "ROLLBACK"}, []int32{0, 0, 0, 0}, 1, 0},
		"abort on ends all":      {[]string{"SET XACT_ABORT ON", "BEGIN TRAN", "INSERT INTO dbo.T VALUES (2)", "INSERT INTO dbo.T VALUES (1)"}, []int32{0, 0, 0, 2627}, 1, 0},
		"abort off ends one":     {[]string{"BEGIN TRAN", "INSERT INTO dbo.T VALUES (2)", "INSERT INTO dbo.T VALUES (1)", "COMMIT"}, []int32{0, 0, 2627, 0}, 2, 0},
		"a batch goes on":        {[]string{"INSERT INTO dbo.T VALUES (1); INSERT INTO dbo.T VALUES (2)"}, []int32{2627}, 2, 0},
		"abort on ends a batch":  {[]string{"SET XACT_ABORT ON", "INSERT INTO dbo.T VALUES (1); INSERT INTO dbo.T VALUES (2)"}, []int32{0, 2627}, 1, 0},
		"a conversion ends all":  {[]string{"BEGIN TRAN", "INSERT INTO dbo.T VALUES (2)", "INSERT INTO dbo.T VALUES (N'x')"}, []int32{0, 0, 245}, 1, 0},
		"unknown object":         {[]string{"BEGIN TRAN", "INSERT INTO dbo.T VALUES (2)", "INSERT INTO dbo.X VALUES (1); INSERT INTO dbo.T VALUES (3)"}, []int32{0, 0, 208}, 2, 1},
		"a syntax error":         {[]string{"SET XACT_ABORT ON", "BEGIN TRAN", "INSERT INTO dbo.T VALUES (2)", "SELEC"}, []int32{0, 0, 0, 50700}, 2, 1},
		"savepoint":              {[]string{"BEGIN TRAN", "SAVE TRAN a", "INSERT INTO dbo.T VALUES (2)", "ROLLBACK TRAN a", "INSERT INTO dbo.T VALUES (3)", "COMMIT"}, []int32{0, 0, 0, 0, 0, 0}, 2, 0},
		"savepoint after error":  {[]string{"BEGIN TRAN", "SAVE TRAN a", "INSERT INTO dbo.T VALUES (1)", "ROLLBACK TRAN a", "INSERT INTO dbo.T VALUES (3)", "COMMIT"}, []int32{0, 0, 2627, 0, 0, 0}, 2, 0},
		"savepoint gone":         {[]string{"SET XACT_ABORT ON", "BEGIN TRAN", "SAVE TRAN a", "INSERT INTO dbo.T VALUES (1)", "ROLLBACK TRAN a"}, []int32{0, 0, 0, 2627, 3903}, 1, 0},
		"unknown savepoint":      {[]string{"BEGIN TRAN", "ROLLBACK TRAN a"}, []int32{0, 6401}, 1, 1},
		"rollback if open":       {[]string{"IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION;", "BEGIN TRAN", "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION;"}, []int32{0, 0, 0}, 1, 0},
		"tables roll back":       {[]string{"BEGIN TRAN", "CREATE TABLE #x (Id int)", "CREATE TABLE dbo.X (Id int)", "ROLLBACK", "SELECT * FROM #x", "SELECT * FROM dbo.X"}, []int32{0, 0, 0, 0, 208, 208}, 1, 0},
		"no database inside":     {[]string{"BEGIN TRAN", "CREATE DATABASE x"}, []int32{0, 226}, 1, 1},
		"caught":                 {[]string{"BEGIN TRY INSERT INTO dbo.T VALUES (1) END TRY BEGIN CATCH INSERT INTO dbo.T VALUES (ERROR_NUMBER()) END CATCH"}, []int32{0}, 2, 0},
		"caught and doomed":      {[]string{"SET XACT_ABORT ON", "BEGIN TRAN; BEGIN TRY INSERT INTO dbo.T VALUES (1) END TRY BEGIN CATCH INSERT INTO dbo.T VALUES (9) END CATCH"}, []int32{0, 3930}, 1, 0},
		"caught and rolled back": {[]string{"SET XACT_ABORT ON", "BEGIN TRAN; BEGIN TRY INSERT INTO dbo.T VALUES (1) END TRY BEGIN CATCH IF XACT_STATE() = -1 ROLLBACK; INSERT INTO dbo.T VALUES (ERROR_NUMBER()) END CATCH"}, []int32{0, 0}, 2, 0},
		"caught and thrown":      {[]string{"BEGIN TRY INSERT INTO dbo.T VALUES (1) END TRY BEGIN CATCH THROW; END CATCH; INSERT INTO dbo.T VALUES (2)"}, []int32{2627}, 1, 0},
		"rowcount decides":       {[]string{"UPDATE dbo.T SET Id = 5 WHERE Id = 4; IF @@ROWCOUNT = 0 INSERT INTO dbo.T VALUES (5);"}, []int32{0}, 2, 0},
		"rowcount decides not":   {[]string{"UPDATE dbo.T SET Id = 5 WHERE Id = 1; IF @@ROWCOUNT = 0 INSERT INTO dbo.T VALUES (6);"}, []int32{0}, 1, 0},
		"snapshot not allowed":   {[]string{"SET TRANSACTION ISOLATION LEVEL SNAPSHOT", "BEGIN TRAN"}, []int32{0, 3952}, 1, 0},
		"commit without a begin": {[]string{"COMMIT TRANSACTION"}, []int32{3902}, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t)
			s := session(t, db)
			exec(t, s, "CREATE TABLE dbo.T (Id int NOT NULL PRIMARY KEY); INSERT INTO dbo.T VALUES (1)")
			got := try(t, s, c.run...)
			for i := range got {
				if got[i] != c.want[i] {
					t.Errorf("%s: error %d, want %d", c.run[i], got[i], c.want[i])
				}
			}
			if n := one(t, s, "SELECT @@TRANCOUNT"); n != c.open {
				t.Errorf("@@TRANCOUNT is %v, want %d", n, c.open)
			}
			if n := one(t, s, "SELECT COUNT(*) FROM dbo.T"); n != c.rows {
				t.Errorf("%v rows, want %d", n, c.rows)
			}
		})
	}
}

// TestServerAbortedTransaction lets the driver know that the server has ended its transaction.
func TestServerAbortedTransaction(t *testing.T) {
	db := open(t)
	exec(t, db, "CREATE TABLE dbo.T (Id int NOT NULL PRIMARY KEY); INSERT INTO dbo.T VALUES (1)")
	s := session(t, db)
	exec(t, s, "SET XACT_ABORT ON")
	tx, err := s.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	exec(t, tx, "INSERT INTO dbo.T VALUES (2)")
	if got := number(t, tx, "INSERT INTO dbo.T VALUES (1)"); got != 2627 {
		t.Errorf("error %d, want 2627", got)
	}
	if err := tx.Commit(); err == nil {
		t.Error("a transaction that the server has rolled back was committed")
	}
	if n := one(t, db, "SELECT COUNT(*) FROM dbo.T"); n != int64(1) {
		t.Errorf("%v rows, want 1", n)
	}
}

// TestLocks lets one session wait for another: until it commits, until the lock times out, until both deadlock.
func TestLocks(t *testing.T) {
	db := open(t)
	exec(t, db, "CREATE TABLE dbo.T (Id int NOT NULL PRIMARY KEY, N int); INSERT INTO dbo.T VALUES (1, 0), (2, 0)")
	a, b := session(t, db), session(t, db)
	exec(t, a, "BEGIN TRAN; UPDATE dbo.T SET N = 1 WHERE Id = 1")
	exec(t, b, "SET XACT_ABORT ON; SET LOCK_TIMEOUT 50; BEGIN TRAN; UPDATE dbo.T SET N = 1 WHERE Id = 2")
	if got := number(t, b, "UPDATE dbo.T SET N = 2 WHERE Id = 1"); got != 1222 {
		t.Errorf("error %d, want 1222", got)
	}
	if n := one(t, b, "SELECT @@TRANCOUNT"); n != int64(0) {
		t.Errorf("@@TRANCOUNT is %v after a lock timeout under XACT_ABORT", n)
	}
	exec(t, b, "SET LOCK_TIMEOUT -1; BEGIN TRAN; UPDATE dbo.T SET N = 1 WHERE Id = 2")
	waited := make(chan error, 1)
	go func() {
		_, err := a.ExecContext(context.WithoutCancel(t.Context()), "UPDATE dbo.T SET N = 3 WHERE Id = 2")
		waited <- err
	}()
	_, errB := b.ExecContext(t.Context(), "UPDATE dbo.T SET N = 3 WHERE Id = 1")
	errA := <-waited
	if (errA == nil) == (errB == nil) {
		t.Fatalf("of two that wait for each other one must win: %v and %v", errA, errB)
	}
	loser := errA
	if errA == nil {
		loser = errB
	}
	if got := numberOf(t, "deadlock", loser); got != 1205 {
		t.Errorf("error %d, want 1205", got)
	}
}

// TestSnapshot reads one moment while another session commits, and meets its conflict.
func TestSnapshot(t *testing.T) {
	db := open(t)
	exec(t, db, "CREATE TABLE dbo.T (Id int NOT NULL PRIMARY KEY, N int); INSERT INTO dbo.T VALUES (1, 0)")
	exec(t, db, "ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON")
	s := session(t, db)
	tx, err := s.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelSnapshot})
	if err != nil {
		t.Fatal(err)
	}
	if n := one(t, tx, "SELECT N FROM dbo.T"); n != int64(0) {
		t.Fatalf("N is %v", n)
	}
	exec(t, db, "UPDATE dbo.T SET N = 1")
	if n := one(t, tx, "SELECT N FROM dbo.T"); n != int64(0) {
		t.Errorf("N is %v in a snapshot from before", n)
	}
	if got := number(t, tx, "UPDATE dbo.T SET N = 2"); got != 3960 {
		t.Errorf("error %d, want 3960", got)
	}
	_ = tx.Rollback() // the server has done so
}

// TestReset gives a session back to the pool: what it had is gone.
func TestReset(t *testing.T) {
	db := open(t)
	db.SetMaxOpenConns(1)
	s := session(t, db)
	exec(t, s, "CREATE TABLE #x (Id int); BEGIN TRAN; SET LOCK_TIMEOUT 5")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := one(t, db, "SELECT @@TRANCOUNT"); n != int64(0) {
		t.Errorf("@@TRANCOUNT is %v in a session that was reset", n)
	}
	if got := number(t, db, "SELECT * FROM #x"); got != 208 {
		t.Errorf("error %d, want 208", got)
	}
}

// TestAttention cancels a statement that waits; the session goes on, its transaction too.
func TestAttention(t *testing.T) {
	db := open(t)
	s := session(t, db)
	exec(t, s, "CREATE TABLE dbo.T (Id int); BEGIN TRAN; INSERT INTO dbo.T VALUES (1)")
	for _, wait := range []string{"WAITFOR DELAY '00:01:00'", "INSERT INTO dbo.T SELECT a.object_id FROM sys.columns a CROSS JOIN sys.columns b CROSS JOIN sys.columns c CROSS JOIN sys.types d CROSS JOIN sys.types e CROSS JOIN sys.types f CROSS JOIN sys.types g CROSS JOIN sys.types h CROSS JOIN sys.types i"} {
		// The driver gives a session up whose deadline has passed, and keeps one that was cancelled.
		ctx, cancel := context.WithCancel(t.Context())
		timer := time.AfterFunc(100*time.Millisecond, cancel)
		_, err := s.ExecContext(ctx, wait)
		timer.Stop()
		if err == nil {
			t.Fatalf("%s: was not cancelled", wait)
		}
		if n := one(t, s, "SELECT COUNT(*) FROM dbo.T"); n != int64(1) {
			t.Errorf("%v rows after the cancellation, want 1", n)
		}
		if n := one(t, s, "SELECT @@TRANCOUNT"); n != int64(1) {
			t.Errorf("@@TRANCOUNT is %v after the cancellation", n)
		}
	}
}
