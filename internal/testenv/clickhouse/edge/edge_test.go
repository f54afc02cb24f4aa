package edge_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"go.uber.org/goleak"

	"github.com/etlsandbox/cdc/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(testenv.Wrap(m)) }

func dial(t *testing.T, s *testenv.ClickHouseServer, database string, c clickhouse.CompressionMethod) clickhouse.Conn {
	t.Helper()
	conn, err := clickhouse.Open(&clickhouse.Options{
		Protocol: clickhouse.HTTP, Addr: []string{s.Addr}, Compression: &clickhouse.Compression{Method: c},
		Auth: clickhouse.Auth{Database: database, Username: s.User, Password: s.Password},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return conn
}

// TestDriver: the driver that the product uses works with every compression
// that the edge serves.
func TestDriver(t *testing.T) {
	s := testenv.ClickHouse(t)
	for _, c := range []clickhouse.CompressionMethod{
		clickhouse.CompressionNone, clickhouse.CompressionLZ4, clickhouse.CompressionZSTD, clickhouse.CompressionGZIP,
	} {
		t.Run(c.String(), func(t *testing.T) {
			db := s.CreateDatabase(t)
			conn := dial(t, s, db, c)
			ctx := t.Context()
			if err := conn.Ping(ctx); err != nil {
				t.Fatal(err)
			}
			if err := conn.Exec(ctx, "CREATE TABLE t (id UInt64, s Nullable(String)) ENGINE = MergeTree ORDER BY id"); err != nil {
				t.Fatal(err)
			}
			const rows = 20_000
			send := func() {
				t.Helper()
				ctx := clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"insert_deduplicate": 0}))
				b, err := conn.PrepareBatch(ctx, "INSERT INTO t (id, s)")
				if err != nil {
					t.Fatal(err)
				}
				for i := range rows {
					if err := b.Append(uint64(i), fmt.Sprintf("it's \\ %d", i)); err != nil {
						t.Fatal(err)
					}
				}
				if err := b.Send(); err != nil {
					t.Fatal(err)
				}
			}
			send()
			send()
			var n, sum uint64
			var text string
			row := conn.QueryRow(clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{"id": "7"})),
				"SELECT count(), sum(id), any(s) FROM t WHERE id = {id:UInt64}")
			if err := row.Scan(&n, &sum, &text); err != nil || n != 2 || sum != 14 || text != `it's \ 7` {
				t.Errorf("got %d rows, sum %d, %q (error %v)", n, sum, text, err)
			}
			if err := conn.QueryRow(ctx, "SELECT count() FROM t").Scan(&n); err != nil || n != 2*rows {
				t.Errorf("%d rows, want %d (error %v)", n, 2*rows, err)
			}
			checkCode(t, conn.Exec(ctx, "SELECT * FROM nowhere"), 60)
			checkCode(t, conn.Exec(ctx, "SELECT FROM FROM"), 62)
			checkCode(t, conn.Exec(clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"no_such_setting": 1})), "SELECT 1"), 115)
			checkCode(t, conn.Exec(clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"max_memory_usage": 1 << 20})),
				"SELECT groupArray(number) FROM numbers(10000000)"), 241)
		})
	}
}

func checkCode(t *testing.T, err error, code int32) {
	t.Helper()
	var ex *clickhouse.Exception
	if !errors.As(err, &ex) || ex.Code != code {
		t.Errorf("error %v, want ClickHouse's code %d", err, code)
	}
}

// TestRefusals: what the edge does not serve, it says.
func TestRefusals(t *testing.T) {
	s := testenv.ClickHouse(t)
	if s.From == "environment" {
		t.Skip("a real server serves what the edge refuses")
	}
	for _, c := range []struct {
		name, query, user, body, code string
		header                        http.Header
		status                        int
	}{
		{name: "wrong password", user: "x:y", body: "SELECT 1", code: "516", status: 403},
		{name: "session", query: "session_id=a", body: "SELECT 1", code: "48", status: 501},
		{name: "unknown setting", query: "foo=1", body: "SELECT 1", code: "115", status: 404},
		{name: "a setting that is no name", query: "a+b=1", body: "SELECT 1", code: "115", status: 404},
		{name: "no statement", body: " ", code: "62", status: 400},
		{name: "another encoding", body: "SELECT 1", header: http.Header{"Content-Encoding": {"br"}}, code: "48", status: 501},
		{name: "external tables", body: "SELECT 1", header: http.Header{"Content-Type": {"multipart/form-data; boundary=x"}}, code: "48", status: 501},
		{name: "unknown database", query: "database=nowhere", body: "SELECT 1", code: "81", status: 404},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := post(t, s, c.query, c.user, c.header, strings.NewReader(c.body))
			defer res.Body.Close()
			if got := res.Header.Get("X-ClickHouse-Exception-Code"); got != c.code || res.StatusCode != c.status {
				t.Errorf("code %s, status %d; want %s, %d", got, res.StatusCode, c.code, c.status)
			}
		})
	}
}

func post(t *testing.T, s *testenv.ClickHouseServer, query, user string, header http.Header, body io.Reader) *http.Response {
	t.Helper()
	u := url.URL{Scheme: "http", Host: s.Addr, Path: "/", RawQuery: query}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, u.String(), body)
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		req.Header = header
	}
	name, password, own := strings.Cut(user, ":")
	if !own {
		name, password = s.User, s.Password
	}
	req.SetBasicAuth(name, password)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return res
}

// TestCutInsert: an insert whose rows end too early leaves nothing behind, as
// with a server.
func TestCutInsert(t *testing.T) {
	s := testenv.ClickHouse(t)
	db := s.CreateDatabase(t)
	conn := dial(t, s, db, clickhouse.CompressionNone)
	ctx := t.Context()
	if err := conn.Exec(ctx, "CREATE TABLE t (id UInt64) ENGINE = MergeTree ORDER BY id"); err != nil {
		t.Fatal(err)
	}
	block := nativeBlock(t, s, db)
	for name, body := range map[string]io.Reader{
		"inside the second block": bytes.NewReader(append(bytes.Clone(block), block[:len(block)/2]...)),
		"inside the first block":  bytes.NewReader(block[:len(block)/2]),
	} {
		res := post(t, s, "database="+db+"&query="+url.QueryEscape("INSERT INTO t (id) FORMAT Native"), "", nil, body)
		_ = res.Body.Close()
		if res.StatusCode == http.StatusOK {
			t.Errorf("%s: a cut insert was taken", name)
		}
	}
	cutConnection(ctx, t, s, db, block)
	var n uint64
	if err := conn.QueryRow(ctx, "SELECT count() FROM t").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d rows of cut inserts (error %v)", n, err)
	}
}

// nativeBlock is 1000 rows as the server writes them.
func nativeBlock(t *testing.T, s *testenv.ClickHouseServer, db string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.Addr+"/?database="+db,
		strings.NewReader("SELECT number AS id FROM numbers(1000) FORMAT Native"))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(s.User, s.Password)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// cutConnection sends a whole block and then loses the connection.
func cutConnection(ctx context.Context, t *testing.T, s *testenv.ClickHouseServer, db string, block []byte) {
	t.Helper()
	broken := errors.New("the client is gone")
	req, err := http.NewRequestWithContext(ctx, http.MethodPost,
		"http://"+s.Addr+"/?database="+db+"&query="+url.QueryEscape("INSERT INTO t (id) FORMAT Native"),
		io.MultiReader(bytes.NewReader(block), failing{broken}))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(s.User, s.Password)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err == nil {
		err = errors.Join(errors.New("it was answered"), res.Body.Close())
	}
	if !errors.Is(err, broken) {
		t.Fatalf("a lost connection: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestKilled: what was answered is there after a kill and a restart on the
// same port.
func TestKilled(t *testing.T) {
	s := testenv.NewClickHouse(t)
	ctx := t.Context()
	if err := s.Exec(ctx, "", "CREATE DATABASE d", "CREATE TABLE d.t (id UInt64) ENGINE = MergeTree ORDER BY id",
		"INSERT INTO d.t SELECT number FROM numbers(50000)"); err != nil {
		t.Fatal(err)
	}
	port := s.Port
	if err := s.Kill9(); err != nil {
		t.Fatal(err)
	}
	if err := s.Exec(ctx, "", "SELECT 1"); err == nil {
		t.Fatal("a killed server answers")
	}
	if err := s.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if s.Port != port {
		t.Errorf("port %d after the restart, %d before", s.Port, port)
	}
	var n uint64
	if err := dial(t, s, "d", clickhouse.CompressionLZ4).QueryRow(ctx, "SELECT count() FROM t").Scan(&n); err != nil || n != 50_000 {
		t.Errorf("%d rows after the kill (error %v)", n, err)
	}
}
