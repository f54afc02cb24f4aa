package binlog

import (
	"encoding/binary"
	"fmt"
	"syscall"
	"testing"

	"github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/cdc/gtid"
	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
)

// BenchmarkReader reads rows from a real server: b.N passes over transactions of a hundred rows and of
// one. CPU is this process's, user and system.
func BenchmarkReader(b *testing.B) {
	for _, kind := range []string{"mariadb", "mysql"} {
		for _, perTx := range []int{100, 1} {
			b.Run(fmt.Sprintf("%s/%d-row transactions", kind, perTx), func(b *testing.B) { benchReader(b, kind, perTx) })
		}
	}
}

func benchReader(b *testing.B, kind string, perTx int) {
	s := testenv.MariaDB
	if kind == "mysql" {
		s = testenv.MySQL
	}
	server := s(b)
	db := server.CreateDatabase(b)
	src, err := cdc.Open(b.Context(), config(server))
	if err != nil {
		b.Fatal(err)
	}
	defer src.Close()
	transactions := 10_000 / perTx
	if perTx > 1 {
		transactions *= 5
	}
	err = server.Exec(b.Context(), "USE "+db,
		"CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, b DATETIME, c MEDIUMINT UNSIGNED, d SMALLINT UNSIGNED, e DATETIME NULL, f TINYINT UNSIGNED, g DECIMAL(5,2), h VARCHAR(45), i TIMESTAMP)",
		"CREATE TABLE d (n INT)", "INSERT INTO d VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)",
		`CREATE PROCEDURE fill(n INT, rows_in_one INT) BEGIN
			DECLARE k INT DEFAULT 0;
			WHILE k < n DO
				INSERT INTO t (b, c, d, e, f, g, h, i) SELECT NOW(), k, x.n, IF(y.n % 4 = 0, NULL, NOW()), 1, 4.99, CONCAT('MARY O''BRIEN ', k), NOW()
					FROM d x, d y LIMIT rows_in_one;
				SET k = k + 1;
			END WHILE; END`)
	if err != nil {
		b.Fatal(err)
	}
	from, err := src.Current(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	if err := server.Exec(b.Context(), fmt.Sprintf("CALL %s.fill(%d, %d)", db, transactions, perTx)); err != nil {
		b.Fatal(err)
	}
	end, err := src.Current(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	f := inDatabase(db)
	ls, err := src.Layouts(b.Context(), f)
	if err != nil {
		b.Fatal(err)
	}
	rows, before := 0, cpuSeconds(b)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		rows += readAll(b, src, Options{Filter: f, Layouts: ls, From: from}, end.GTID)
	}
	b.StopTimer()
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric((cpuSeconds(b)-before)*1e6/float64(rows), "cpu-s/Mrow")
}

func readAll(b *testing.B, src *cdc.Source, o Options, end string) (rows int) {
	r, err := Open(b.Context(), src, o)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	for {
		item, err := r.Next(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		switch item.Kind {
		case Row:
			rows++
		case Commit, Heartbeat:
			if (item.Kind == Heartbeat || !r.Buffered()) && r.Position().GTID == end {
				return rows
			}
		}
	}
}

func cpuSeconds(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}

// BenchmarkStream plays transactions of one row from memory: what the reader itself costs.
func BenchmarkStream(b *testing.B) {
	const transactions = 1000
	m, l := benchTable()
	l.Table.ID = change.TableID{DB: m.db, Name: m.name}
	var w logWriter
	w.begin("binlog.000001", 4)
	for i := range transactions {
		id := binary.LittleEndian.AppendUint64(nil, uint64(i+1))
		w.add(evMariaGTID, append(id, make([]byte, 11)...))
		w.add(evTableMap, tableMapBody(m))
		w.add(evWriteRows1, benchRow([]byte{1, 0, 0, 0, 0, 0, 0, 0, 9, 0xff, 0x01}, i))
		w.add(evXID, make([]byte, 8))
	}
	wire := w.Bytes()
	b.ReportAllocs()
	b.SetBytes(int64(len(wire)))
	rows := 0
	for b.Loop() {
		r := play(wire, 0, change.Position{})
		r.maria = &gtid.MariaDB{}
		r.layouts[l.Table.ID] = l
		commits := 0
		for commits < transactions {
			item, err := r.Next(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			switch item.Kind {
			case Row:
				rows++
			case Commit:
				commits++
			}
		}
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}
