package clickhouse

import (
	"time"

	"github.com/etlsandbox/cdc/schemas/change"
)

// A column that somebody made a String takes dates and moments of every year, as the server itself prints
// those that its types hold: what was there before and what comes later look the same.
const (
	dayText    = "2006-01-02"
	momentText = "2006-01-02 15:04:05.000000"
)

// asText says that values which ask for a date or a moment go to a column of text.
func asText(want, have form) bool {
	return have.kind == kindString && (want.kind == kindDate || want.kind == kindDateTime64)
}

// textOf is a value as a column of text takes it.
func textOf(v change.Value) string {
	switch v.Kind() {
	case change.Date:
		const daySeconds = 86_400
		return time.Unix(v.Int()*daySeconds, 0).UTC().Format(dayText)
	case change.Datetime, change.Timestamp:
		return time.UnixMicro(v.Int()).UTC().Format(momentText)
	}
	return v.Text()
}

// parseDay reads what textOf wrote of a date or a moment. Text that is none is kept: it is no value of the
// source, and differs from all of them.
func parseDay(k change.Kind, text string) change.Value {
	layout := momentText
	if k == change.Date {
		layout = dayText
	}
	t, err := time.Parse(layout, text)
	switch {
	case err != nil:
		return change.StringValue(text)
	case k == change.Date:
		return change.DateValue(t.UnixMicro() / dayMicros)
	case k == change.Timestamp:
		return change.TimestampValue(t.UnixMicro())
	}
	return change.DatetimeValue(t.UnixMicro())
}
