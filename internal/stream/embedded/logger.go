package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/twmb/franz-go/pkg/kfake"
)

// logger hands kfake's words to slog. A write that fails is something that kfake says and goes on from;
// here it is the end.
type logger struct{ b *Broker }

// diskWords are the beginnings of what kfake says when it could not write.
var diskWords = []string{"persist ", "endTx: failed to persist", "rebuildSegments", "persist to disk", "save session state"}

// Logf is kfake's.
func (l *logger) Logf(level kfake.LogLevel, msg string, args ...any) {
	if level > kfake.LogLevelWarn {
		return
	}
	text := fmt.Sprintf(msg, args...)
	for _, w := range diskWords {
		if strings.HasPrefix(text, w) {
			l.b.fail(fmt.Errorf("the embedded broker could not write to %s: %s (free or replace the disk, then start again)", l.b.cfg.Dir, text))
		}
	}
	to := slog.LevelWarn
	if brief(msg, args) {
		to = slog.LevelDebug
	}
	if level == kfake.LogLevelError {
		to = slog.LevelError
	}
	l.b.cfg.Log.Log(context.Background(), to, "embedded broker: "+text)
}

// slowCommit is the time in milliseconds from which on the end of a transaction is worth a warning; kfake's own
// measure is 5, which any disk that syncs exceeds.
const slowCommit = 1000

// brief reports whether kfake complains of a transaction's end that took less than slowCommit.
func brief(msg string, args []any) bool {
	if !strings.HasPrefix(msg, "txn: EndTxn slow ") || len(args) < 3 {
		return false
	}
	ms, ok := args[2].(int64)
	return ok && ms < slowCommit
}
