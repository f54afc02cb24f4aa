package postgres

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// processors tells what a benchmark costs in processor time, which other work on the machine does not change: of the
// client, which is this process, and of the server's process that serves one connection, where it is on this
// machine and Linux.
type processors struct {
	b              *testing.B
	backend        uint32 // process id of the server's end
	client, server time.Duration
	known          bool
}

func watchProcessors(b *testing.B, conn *pgx.Conn) *processors {
	b.Helper()
	p := &processors{b: b, backend: conn.PgConn().PID()}
	p.client, p.server, p.known = p.read()
	return p
}

// report adds microseconds per row, of n rows in each iteration.
func (p *processors) report(n int) {
	p.b.Helper()
	client, server, known := p.read()
	if !p.known || !known {
		return
	}
	rows := float64(n) * float64(p.b.N)
	p.b.ReportMetric(float64((client-p.client).Microseconds())/rows, "client-cpu-us/row")
	p.b.ReportMetric(float64((server-p.server).Microseconds())/rows, "server-cpu-us/row")
}

func (p *processors) read() (client, server time.Duration, known bool) {
	own, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0, 0, false
	}
	fields := strings.Fields(string(own[strings.LastIndexByte(string(own), ')')+1:]))
	for _, i := range []int{11, 12} { // utime and stime, in ticks of 10 ms
		ticks, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			p.b.Fatalf("read %q: %v", own, err)
		}
		client += time.Duration(ticks) * 10 * time.Millisecond
	}
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.backend))
	if err != nil || !strings.HasPrefix(string(name), "postgres") { // the server is elsewhere: another process has that id
		return 0, 0, false
	}
	sched, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", p.backend))
	if err != nil {
		return 0, 0, false
	}
	spent, _, _ := strings.Cut(string(sched), " ")
	ns, err := strconv.ParseInt(spent, 10, 64)
	if err != nil {
		p.b.Fatalf("read %q: %v", sched, err)
	}
	return client, time.Duration(ns), true
}
