package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ErrUnreachable says that no daemon answers.
var ErrUnreachable = errors.New("no daemon answers")

// Client calls a running daemon. It is safe for concurrent use.
type Client struct {
	base  string // without a slash at the end
	where string // for messages
	token string
	http  *http.Client
}

// NewSocketClient returns a client of the daemon that owns a data folder.
func NewSocketClient(dataDir string) *Client {
	path := filepath.Join(dataDir, SocketName)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		if len(path) <= maxSocketPath {
			return d.DialContext(ctx, "unix", path)
		}
		dir, err := os.Open(dataDir)
		if err != nil {
			return nil, err
		}
		defer dir.Close()
		return d.DialContext(ctx, "unix", address(path, dir))
	}
	return &Client{base: "http://cdc", where: path, http: &http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// NewClient returns a client of the daemon at a URL such as http://127.0.0.1:8383; token may be empty.
func NewClient(addr, token string) (*Client, error) {
	shown := addr
	if i := strings.LastIndexByte(addr, '@'); i >= 0 { // what is before it may be a password
		shown = "…" + addr[i:]
	}
	u, err := url.Parse(addr)
	if err == nil && u.User != nil {
		return nil, fmt.Errorf("address %q holds a user: the daemon takes a token, put it into CDC_TOKEN", shown)
	}
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("address %q is no URL of a daemon: write http://127.0.0.1:8383", shown)
	}
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		t = &http.Transport{}
	}
	return &Client{base: strings.TrimRight(addr, "/"), where: u.Host, token: token, http: &http.Client{Transport: t.Clone()}}, nil
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status asks how the daemon is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return fetch[Status](ctx, c, http.MethodGet, "/api/v1/status", nil)
}

// Reload makes the daemon read its configuration again.
func (c *Client) Reload(ctx context.Context) (ReloadReport, error) {
	return fetch[ReloadReport](ctx, c, http.MethodPost, "/api/v1/reload", nil)
}

// Resync begins a resync and returns when its covers have begun.
func (c *Client) Resync(ctx context.Context, r ResyncRequest) (ResyncReport, error) {
	return fetch[ResyncReport](ctx, c, http.MethodPost, "/api/v1/resyncs", r)
}

// Resyncs lists the resyncs that run, and those that ended lately.
func (c *Client) Resyncs(ctx context.Context) ([]Cover, error) {
	return fetch[[]Cover](ctx, c, http.MethodGet, "/api/v1/resyncs", nil)
}

// Wait returns when the sinks show the source's position of now; timeout 0 is none.
func (c *Client) Wait(ctx context.Context, r WaitRequest, timeout time.Duration) (WaitReport, error) {
	q := url.Values{}
	if r.Sink != "" {
		q.Set("sink", r.Sink)
	}
	if timeout > 0 {
		q.Set("timeout", timeout.String())
	}
	return fetch[WaitReport](ctx, c, http.MethodGet, "/api/v1/wait?"+q.Encode(), nil)
}

// Config returns the daemon's effective settings as JSON.
func (c *Client) Config(ctx context.Context) ([]byte, error) {
	return fetch[json.RawMessage](ctx, c, http.MethodGet, "/api/v1/config", nil)
}

// Verify compares and returns when it is done; progress is called as it goes, from one goroutine.
func (c *Client) Verify(ctx context.Context, r VerifyRequest, progress func(VerifyProgress)) (VerifyReport, error) {
	resp, err := c.send(ctx, http.MethodPost, "/api/v1/verifications", r)
	if err != nil {
		return VerifyReport{}, err
	}
	defer resp.Body.Close()
	dec := json.NewDecoder(resp.Body)
	for {
		var e VerifyEvent
		if err := dec.Decode(&e); err != nil {
			return VerifyReport{}, fmt.Errorf("read the verification's answer: the daemon went away: %w", errors.Join(ErrUnreachable, err))
		}
		switch {
		case e.Problem != nil:
			return VerifyReport{}, e.Problem
		case e.Report != nil:
			return *e.Report, nil
		case e.Progress != nil:
			progress(*e.Progress)
		}
	}
}

// send returns an answer with a good status, whose body the caller closes.
func (c *Client) send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("write the request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("make the request %s: %w", path, err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%w at %s: %w", ErrUnreachable, c.where, rootOf(err))
	}
	if resp.StatusCode >= 300 {
		defer resp.Body.Close()
		return nil, readProblem(resp)
	}
	return resp, nil
}

// fetch sends a request and decodes the answer.
func fetch[T any](ctx context.Context, c *Client, method, path string, in any) (out T, err error) {
	resp, err := c.send(ctx, method, path, in)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return out, fmt.Errorf("read the daemon's answer to %s: %w", path, err)
	}
	return out, nil
}

func readProblem(resp *http.Response) error {
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxBodyBytes))
	if err != nil {
		return fmt.Errorf("read the daemon's answer: %w", err)
	}
	var p Problem
	if json.Unmarshal(b, &p) != nil || p.Detail == "" {
		p = Problem{Title: resp.Status, Detail: fmt.Sprintf("the daemon answers %s: %s", resp.Status, strings.TrimSpace(string(b)))}
	}
	p.Status = resp.StatusCode
	return &p
}

// rootOf drops the URL that net/http wraps around an error: it names a host that does not exist.
func rootOf(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
