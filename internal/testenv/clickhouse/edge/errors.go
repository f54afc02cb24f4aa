package edge

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
)

// Codes of errors that the edge itself makes; the engine's text has the rest.
const (
	codeBadArguments   = 36
	codeNotImplemented = 48
	codeSyntax         = 62
	codeUnknownSetting = 115
	codeAuthentication = 516
	codeSTD            = 1001 // an error that is none of ClickHouse's
)

// refuse is an error in the words of ClickHouse.
func refuse(code int, format string, args ...any) error {
	return fmt.Errorf("%s: %d. DB::Exception: %s", "Code", code, fmt.Sprintf(format, args...)) // ClickHouse's own form
}

var codeText = regexp.MustCompile(`Code: (\d+)\.`)

// fail answers with an error: its code in a header, its text in the body.
func (s *Server) fail(w http.ResponseWriter, err error) {
	code := codeSTD
	if m := codeText.FindStringSubmatch(err.Error()); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			code = n
		}
	}
	h := w.Header()
	h.Set("X-ClickHouse-Exception-Code", strconv.Itoa(code))
	h.Set("Content-Type", "text/plain; charset=UTF-8")
	if code == codeAuthentication {
		h.Set("WWW-Authenticate", `Basic realm="ClickHouse server HTTP API"`)
	}
	w.WriteHeader(status(code))
	s.say(w, err.Error()+" (version 26.7.3.1 (clickhouse-edge))\n")
}

// status is the HTTP status that ClickHouse gives an error code.
func status(code int) int {
	switch code {
	case 194:
		return http.StatusUnauthorized
	case 192, 193, codeAuthentication:
		return http.StatusForbidden
	case 6, 26, 27, 38, 41, 43, 53, 57, 69, 70, codeBadArguments, codeSyntax, 72, 117, 130, 131:
		return http.StatusBadRequest
	case 46, 47, 50, 56, 60, 73, 81, 94, codeUnknownSetting:
		return http.StatusNotFound
	case codeNotImplemented:
		return http.StatusNotImplemented
	case 159:
		return http.StatusRequestTimeout
	}
	return http.StatusInternalServerError
}
