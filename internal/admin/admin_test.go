package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// daemon is a double whose answers a test sets.
type daemon struct {
	status  Status
	err     error
	resync  ResyncRequest
	verify  func(ctx context.Context, r VerifyRequest, progress func(VerifyProgress)) (VerifyReport, error)
	waiting chan struct{}
}

func (d *daemon) Status(context.Context) (Status, error) { return d.status, d.err }
func (d *daemon) Config(context.Context) ([]byte, error) { return []byte(`{"name": "jupiter"}`), d.err }
func (d *daemon) Reload(context.Context) (ReloadReport, error) {
	return ReloadReport{Applied: []Change{{Path: "log.level"}}}, d.err
}
func (d *daemon) Wait(ctx context.Context, r WaitRequest) (WaitReport, error) {
	if r.Sink == "mars" {
		return WaitReport{}, NotFound("no sink mars", "sinks: neptune")
	}
	if d.waiting != nil {
		close(d.waiting)
		<-ctx.Done()
		return WaitReport{}, ctx.Err()
	}
	return WaitReport{Position: "0-1-5"}, d.err
}
func (d *daemon) Resync(_ context.Context, r ResyncRequest) (ResyncReport, error) {
	d.resync = r
	return ResyncReport{Covers: []Cover{{ID: "c1", Kind: "resync", State: "running"}}}, d.err
}
func (d *daemon) Verify(ctx context.Context, r VerifyRequest, p func(VerifyProgress)) (VerifyReport, error) {
	return d.verify(ctx, r, p)
}

func metrics(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "cdc_active 1\n") }

// start serves a double on a control socket and returns a client of it.
func start(t *testing.T, d *daemon) *Client {
	t.Helper()
	dir := t.TempDir()
	l, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Version: "test", Reporter: d, Operator: d, Metrics: http.HandlerFunc(metrics)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx, l.Listener) }()
	c := NewSocketClient(dir)
	t.Cleanup(func() {
		c.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := l.Release(); err != nil {
			t.Errorf("Release: %v", err)
		}
		if _, err := os.Stat(filepath.Join(dir, SocketName)); err == nil {
			t.Error("the socket is still there")
		}
	})
	return c
}

func TestStatusRoundTrip(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	want := Status{
		Name: "jupiter", Version: "v1", StartedAt: at, NotReady: []string{"sink neptune is retrying"},
		Source:  Source{Type: "mariadb", Position: "0-1-7", LagSeconds: 0.5},
		Streams: []Stream{{Name: "jupiter", Seq: 9}}, Stages: []Stage{{Name: "capture", State: "running", Since: at}},
		Tables: []Table{{Name: "sakila.film", State: "paused", Trouble: Trouble{Error: "altered", Hint: "resync"}}},
		Views:  []View{{Name: "V", Key: []string{"a"}}},
		Sinks:  []Sink{{Name: "neptune", Covers: []string{"c"}, Quarantined: 2}},
		Covers: []Cover{{ID: "c", Kind: "load", Tables: []string{"sakila.film"}}},
	}
	c := start(t, &daemon{status: want})
	got, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if b, err := c.Config(t.Context()); err != nil || string(b) != `{"name":"jupiter"}` {
		t.Errorf("config %s, %v", b, err)
	}
}

func TestCommands(t *testing.T) {
	d := &daemon{status: Status{Covers: []Cover{{ID: "l", Kind: "load"}, {ID: "r", Kind: "resync"}}}}
	c := start(t, d)
	if r, err := c.Reload(t.Context()); err != nil || len(r.Applied) != 1 || r.Refused == nil {
		t.Errorf("reload: %+v, %v", r, err)
	}
	req := ResyncRequest{Tables: []string{"sakila.film"}, Keys: "1..9"}
	if r, err := c.Resync(t.Context(), req); err != nil || r.Covers[0].ID != "c1" {
		t.Errorf("resync: %+v, %v", r, err)
	}
	if diff := cmp.Diff(req, d.resync); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	if r, err := c.Resyncs(t.Context()); err != nil || len(r) != 1 || r[0].ID != "r" {
		t.Errorf("resyncs: %+v, %v", r, err)
	}
	if r, err := c.Wait(t.Context(), WaitRequest{}, 0); err != nil || r.Position != "0-1-5" {
		t.Errorf("wait: %+v, %v", r, err)
	}
}

func TestProblems(t *testing.T) {
	d := &daemon{}
	c := start(t, d)
	_, err := c.Wait(t.Context(), WaitRequest{Sink: "mars"}, 0)
	var p *Problem
	if !errors.As(err, &p) || p.Status != 404 || p.Error() != "no sink mars (sinks: neptune)" {
		t.Errorf("wait for an unknown sink: %v", err)
	}
	if _, err = c.Resync(t.Context(), ResyncRequest{}); err == nil || err.Error() != "nothing to resync (name tables, --view, --sink or --all)" {
		t.Errorf("empty resync: %v", err)
	}
	d.err = errors.New("the source is gone")
	if _, err = c.Status(t.Context()); !errors.As(err, &p) || p.Status != 500 || p.Detail != "the source is gone" {
		t.Errorf("status: %v", err)
	}
	d.err = nil
	resp, err := c.send(t.Context(), "POST", "/api/v1/resyncs", struct {
		Tabels []string `json:"tabels"`
	}{[]string{"x"}})
	if err == nil {
		_ = resp.Body.Close()
		t.Fatal("an unknown field was taken")
	}
	if !strings.Contains(err.Error(), "body.tabels") {
		t.Errorf("unknown field: %v", err)
	}
}

// A call that waits ends when its caller goes, when its timeout passes, and when the daemon stops.
func TestWaitEnds(t *testing.T) {
	d := &daemon{waiting: make(chan struct{})}
	c := start(t, d)
	_, err := c.Wait(t.Context(), WaitRequest{}, 20*time.Millisecond)
	var p *Problem
	if !errors.As(err, &p) || p.Status != http.StatusGatewayTimeout {
		t.Errorf("timeout: %v", err)
	}
	d.waiting = make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-d.waiting; cancel() }()
	if _, err := c.Wait(ctx, WaitRequest{}, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("caller gone: %v", err)
	}
}

func TestVerifyStreams(t *testing.T) {
	d := &daemon{}
	c := start(t, d)
	seen := make(chan struct{})
	want := VerifyReport{Results: []VerifyResult{{Sink: "neptune", View: "V", Rows: 3, Columns: []string{"a"},
		Differences: []Difference{{Key: "1", Source: []string{"x"}, Sink: []string{}}}}}}
	d.verify = func(ctx context.Context, r VerifyRequest, progress func(VerifyProgress)) (VerifyReport, error) {
		progress(VerifyProgress{Sink: r.Sink, Rows: 1})
		<-seen // progress arrives before the report exists
		return want, nil
	}
	got, err := c.Verify(t.Context(), VerifyRequest{Sink: "neptune"}, func(p VerifyProgress) {
		if p.Sink != "neptune" || p.Rows != 1 {
			t.Errorf("progress %+v", p)
		}
		close(seen)
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	d.verify = func(ctx context.Context, _ VerifyRequest, _ func(VerifyProgress)) (VerifyReport, error) {
		<-ctx.Done()
		return VerifyReport{}, ctx.Err()
	}
	_, err = c.Verify(t.Context(), VerifyRequest{TimeoutSeconds: 0.02}, nil)
	var p *Problem
	if !errors.As(err, &p) || p.Status != http.StatusGatewayTimeout {
		t.Errorf("timeout: %v", err)
	}
}

func handler(t *testing.T, d *daemon) http.Handler {
	t.Helper()
	h, err := (&Server{Version: "test", Reporter: d, Operator: d, Metrics: http.HandlerFunc(metrics)}).Handler()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHealthAndMetrics(t *testing.T) {
	d := &daemon{status: Status{NotReady: []string{"capture is retrying"}}}
	h := handler(t, d)
	get := func(path string) (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w.Code, w.Body.String()
	}
	if code, body := get("/healthz"); code != 200 || body != "ok\n" {
		t.Errorf("/healthz: %d %q", code, body)
	}
	if code, body := get("/metrics"); code != 200 || body != "cdc_active 1\n" {
		t.Errorf("/metrics: %d %q", code, body)
	}
	if code, body := get("/readyz"); code != 503 || body != `{"ready":false,"not_ready":["capture is retrying"]}`+"\n" {
		t.Errorf("/readyz: %d %q", code, body)
	}
	d.status = Status{Ready: true}
	if code, _ := get("/readyz"); code != 200 {
		t.Errorf("/readyz when ready: %d", code)
	}
	if code, body := get("/api/v1/sinks"); code != 200 || body != "[]\n" {
		t.Errorf("sinks: %d %q", code, body)
	}
	code, body := get("/openapi.json")
	for _, path := range []string{"/readyz", "/api/v1/status", "/api/v1/streams", "/api/v1/tables", "/api/v1/views", "/api/v1/sinks",
		"/api/v1/snapshots", "/api/v1/resyncs", "/api/v1/verifications", "/api/v1/config", "/api/v1/reload", "/api/v1/wait"} {
		if code != 200 || !strings.Contains(body, `"`+path+`"`) {
			t.Errorf("/openapi.json lacks %s (%d)", path, code)
		}
	}
}

func TestLimits(t *testing.T) {
	h := handler(t, &daemon{})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/api/v1/reload", strings.NewReader(strings.Repeat("x", maxBodyBytes+1))))
	if w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("large body: %d", w.Code)
	}
	r := httptest.NewRequest("POST", "/api/v1/reload", nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	w = httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != http.StatusForbidden {
		t.Errorf("another site's page: %d", w.Code)
	}
}

// I9: two daemons never both write. Here: never on one data folder.
func TestListen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	l, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(dir); !errors.Is(err, ErrOtherDaemon) {
		t.Errorf("second daemon: %v", err)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, l.Path(): 0o600} {
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != want {
			t.Errorf("%s: mode %v, %v; want %v", path, st.Mode(), err, want)
		}
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	// A daemon that was killed leaves its socket behind.
	stale, err := net.Listen("unix", filepath.Join(dir, SocketName))
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}
	if l, err = Listen(dir); err != nil {
		t.Fatalf("over a stale socket: %v", err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
}

func TestLongPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 40))
	l, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{status: Status{Name: "jupiter"}}
	s := &Server{Reporter: d, Operator: d, Metrics: http.NotFoundHandler()}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx, l.Listener) }()
	c := NewSocketClient(dir)
	if st, err := c.Status(t.Context()); err != nil || st.Name != "jupiter" {
		t.Errorf("status: %+v, %v", st, err)
	}
	c.Close()
	cancel()
	if err := errors.Join(<-done, l.Release()); err != nil {
		t.Error(err)
	}
}

func TestUnreachable(t *testing.T) {
	c := NewSocketClient(t.TempDir())
	if _, err := c.Status(t.Context()); !errors.Is(err, ErrUnreachable) || strings.Contains(err.Error(), "http://") {
		t.Errorf("no socket: %v", err)
	}
	for _, addr := range []string{"http://me:hunter2@host:8383", "http://me:hunter2@host:1x/", "me:hunter2@host"} {
		if _, err := NewClient(addr, ""); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: error %v; want one without the password", addr, err)
		}
	}
	if _, err := NewClient("localhost:8383", ""); err == nil {
		t.Error("an address without scheme is accepted")
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer tok" {
			t.Errorf("token %q", r.Header.Get("Authorization"))
		}
		http.Error(w, "bad gateway", http.StatusBadGateway)
	}))
	defer srv.Close()
	c, err := NewClient(srv.URL, "tok")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "502") {
		t.Errorf("foreign server: %v", err)
	}
}

// What has not begun has no time of a beginning.
func TestCoverThatOnlyWouldBegin(t *testing.T) {
	b, err := json.Marshal(ResyncReport{Covers: []Cover{{Kind: "resync", State: "waiting", Tables: []string{"d.t"}}}})
	if err != nil || strings.Contains(string(b), "0001-01-01") || strings.Contains(string(b), "started_at") {
		t.Errorf("%s (%v)", b, err)
	}
}
