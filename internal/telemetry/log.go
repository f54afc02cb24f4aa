// Package telemetry sets up logging and declares every metric. Both are built and handed out, never global.
package telemetry

import (
	"context"
	"io"
	"log/slog"
)

// Keys of log records besides slog's own time, level and msg. Use these and no others, so that a search in
// collected logs finds everything about a table, a view or a sink.
const (
	KeyStage    = "stage"
	KeyStream   = "stream"
	KeyTable    = "table"
	KeyView     = "view"
	KeySink     = "sink"
	KeySeq      = "seq"
	KeyPosition = "position"
	KeyErr      = "err"
	KeyHint     = "hint" // the way out
	KeyTraceID  = "trace_id"
)

// Format is how log records are written.
type Format string

// The formats; FormatAuto is text on a terminal and JSON elsewhere.
const (
	FormatAuto Format = "auto"
	FormatText Format = "text"
	FormatJSON Format = "json"
)

// NewLogger returns a logger that writes to w from a level on; the level may be changed while it runs.
// terminal says whether w is one.
func NewLogger(w io.Writer, format Format, terminal bool, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if format == FormatText || (format == FormatAuto && terminal) {
		return slog.New(hinted{slog.NewTextHandler(w, o)})
	}
	return slog.New(hinted{slog.NewJSONHandler(w, o)})
}

// ParseLevel returns the level of a word of the configuration: debug, info, warn, error.
func ParseLevel(word string) (slog.Level, error) {
	var l slog.Level
	err := l.UnmarshalText([]byte(word))
	return l, err
}

// hinter is an error that knows the way out.
type hinter interface{ Hint() string }

// hinted adds the key hint to records whose err knows the way out and that carry none themselves.
type hinted struct{ slog.Handler }

// Handle implements slog.Handler.
func (h hinted) Handle(ctx context.Context, r slog.Record) error {
	hint, has := "", false
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case KeyHint:
			has = true
		case KeyErr:
			if err, ok := a.Value.Any().(error); ok {
				hint = HintOf(err)
			}
		}
		return true
	})
	if hint != "" && !has {
		r = r.Clone()
		r.AddAttrs(slog.String(KeyHint, hint))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h hinted) WithAttrs(as []slog.Attr) slog.Handler { return hinted{h.Handler.WithAttrs(as)} }

// WithGroup implements slog.Handler.
func (h hinted) WithGroup(name string) slog.Handler { return hinted{h.Handler.WithGroup(name)} }
