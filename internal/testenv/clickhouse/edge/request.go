package edge

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/ClickHouse/ch-go/compress"

	"github.com/etlsandbox/cdc/internal/testenv/clickhouse/engine"
)

// request is a statement with everything that the URL says about it.
type request struct {
	id       string
	sql      string
	database string
	settings []engine.Param
	params   []engine.Param
	// format of the result; an INSERT with rows of its own has them in rows,
	// in rowFormat.
	format    string
	rows      io.Reader
	rowFormat string
	// revision of the native protocol that the client reads.
	revision uint64
	// blocks is the compression of the result's native blocks, "" for none;
	// gzip that of the whole answer.
	blocks string
	gzip   bool
}

var (
	insertStart  = regexp.MustCompile(`(?is)^\s*INSERT\s+INTO\b`)
	insertFormat = regexp.MustCompile(`(?is)^(\s*INSERT\s+INTO\s+.*?)\s+FORMAT\s+(\w+)\s*;?\s?(.*)$`)
	resultFormat = regexp.MustCompile(`(?is)\bFORMAT\s+(\w+)\s*;?\s*$`)
	settingName  = regexp.MustCompile(`^[A-Za-z_]\w*$`)
)

// passed are parameters of the interface that are no settings and change
// nothing here: results are always complete before they are sent.
var passed = []string{"query", "user", "password", "wait_end_of_query", "buffer_size", "quota_key"}

// refused are parameters that a server honours and this one does not.
var refused = []string{"session_id", "session_timeout", "session_check", "role", "stacktrace"}

func parse(r *http.Request) (*request, error) {
	if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") {
		return nil, refuse(codeNotImplemented, "external tables are not served here. (NOT_IMPLEMENTED)")
	}
	q := r.URL.Query()
	req := &request{format: "TabSeparated"}
	if err := req.readURL(q); err != nil {
		return nil, err
	}
	if req.id == "" {
		id, err := newQueryID()
		if err != nil {
			return nil, err
		}
		req.id = id
	}
	if f := r.Header.Get("X-ClickHouse-Format"); f != "" {
		req.format = f
	}
	if d := r.Header.Get("X-ClickHouse-Database"); d != "" {
		req.database = d
	}
	req.gzip = req.gzip && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip")
	body, err := requestBody(r, q.Get("decompress") == "1")
	if err != nil {
		return nil, err
	}
	return req, req.readStatement(q.Get("query"), body)
}

func (req *request) readURL(q url.Values) error {
	names := make([]string, 0, len(q))
	for name := range q {
		names = append(names, name)
	}
	slices.Sort(names)
	method := "LZ4"
	for _, name := range names {
		value := q.Get(name)
		switch {
		case slices.Contains(passed, name), name == "decompress":
		case slices.Contains(refused, name):
			return refuse(codeNotImplemented, "%s is not served here. (NOT_IMPLEMENTED)", name)
		case strings.HasPrefix(name, "param_"):
			req.params = append(req.params, engine.Param{Name: name[len("param_"):], Value: value})
		case name == "query_id":
			req.id = value
		case name == "database":
			req.database = value
		case name == "default_format":
			req.format = value
		case name == "client_protocol_version":
			if _, err := fmt.Sscan(value, &req.revision); err != nil {
				return refuse(codeBadArguments, "client_protocol_version %s is no number. (BAD_ARGUMENTS)", value)
			}
		case name == "compress":
			if value == "1" {
				req.blocks = method
			}
		case name == "enable_http_compression":
			req.gzip = value == "1" || value == "true"
		case !settingName.MatchString(name):
			return refuse(codeUnknownSetting, "Unknown setting '%s'. (UNKNOWN_SETTING)", name)
		default:
			if name == "network_compression_method" {
				method = strings.ToUpper(value)
			}
			req.settings = append(req.settings, engine.Param{Name: name, Value: value})
		}
	}
	if req.blocks != "" {
		req.blocks = method // it sorts after "compress"
	}
	return nil
}

func requestBody(r *http.Request, nativeBlocks bool) (io.Reader, error) {
	var body io.Reader = r.Body
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "":
	case "gzip":
		z, err := gzip.NewReader(body)
		if err != nil {
			return nil, fmt.Errorf("read the gzip body: %w", err)
		}
		body = z
	default:
		return nil, refuse(codeNotImplemented, "Content-Encoding %s is not served here. (NOT_IMPLEMENTED)", encoding)
	}
	if nativeBlocks {
		body = &plainEOF{compress.NewReader(body)}
	}
	return body, nil
}

// plainEOF turns the wrapped end that the block reader gives into io.EOF. An
// end inside a block stays an error.
type plainEOF struct{ r io.Reader }

func (p *plainEOF) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// readStatement takes the statement from the URL, the body, or both; behind
// an INSERT in the URL the body is its rows.
func (req *request) readStatement(sql string, body io.Reader) error {
	if insertStart.MatchString(sql) {
		m := insertFormat.FindStringSubmatch(sql)
		if m == nil {
			return req.readWhole(sql, body)
		}
		req.sql, req.rowFormat, req.rows = m[1], m[2], body
		if m[3] != "" {
			req.rows = io.MultiReader(strings.NewReader(m[3]), body)
		}
		return nil
	}
	return req.readWhole(sql, body)
}

func (req *request) readWhole(sql string, body io.Reader) error {
	const most = 256 << 20 // bytes of a statement
	text, err := io.ReadAll(io.LimitReader(body, most))
	if err != nil {
		return fmt.Errorf("read the statement: %w", err)
	}
	req.sql = strings.TrimSpace(sql + " " + string(text))
	if req.sql == "" {
		return refuse(codeSyntax, "Empty query. (SYNTAX_ERROR)")
	}
	if insertStart.MatchString(req.sql) {
		if m := insertFormat.FindStringSubmatch(req.sql); m != nil && !strings.EqualFold(m[2], "Values") {
			req.sql, req.rowFormat, req.rows = m[1], m[2], strings.NewReader(m[3])
		}
		return nil
	}
	if m := resultFormat.FindStringSubmatch(req.sql); m != nil {
		req.format = m[1]
	}
	return nil
}

// prepare gives a connection the request's database and settings.
func (req *request) prepare(conn *engine.Conn) error {
	if req.database != "" {
		if _, _, err := conn.Query("USE "+quoteName(req.database), "Null", nil); err != nil {
			return err
		}
	}
	if len(req.settings) == 0 {
		return nil
	}
	sets := make([]string, len(req.settings))
	for i, s := range req.settings {
		sets[i] = s.Name + " = " + quote(s.Value)
	}
	_, _, err := conn.Query("SET "+strings.Join(sets, ", "), "Null", nil)
	return err
}
