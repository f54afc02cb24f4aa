package cdc

import "github.com/etlsandbox/cdc/schemas/change"

// Days returns the days since 1970-01-01 of a date; ok is false when there is no such day (a zero
// month or day, the 30th of February).
func Days(year, month, day int) (days int64, ok bool) {
	if month < 1 || month > 12 || day < 1 || day > 31 || year < 0 || year > 9999 {
		return 0, false
	}
	if day > 28 && day > monthDays(year, month) {
		return 0, false
	}
	y, m := year, month
	if m <= 2 {
		y--
	}
	era := (y+400)/400 - 1 // rounds down; y is at least -1
	yoe := y - era*400
	doy := (153*((m+9)%12)+2)/5 + day - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return int64(era)*146097 + int64(doe) - 719468, true
}

func monthDays(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// Micros returns the microseconds since 1970-01-01T00:00:00 of a day and a time of day.
func Micros(days int64, hour, minute, second, micro int) int64 {
	return ((days*24+int64(hour))*60+int64(minute))*60_000_000 + int64(second)*1_000_000 + int64(micro)
}

// ZeroDate is the value of a date without a day. ok is false when the policy wants an error.
func (z ZeroDates) ZeroDate(kind change.Kind, nullable bool) (v change.Value, ok bool) {
	switch {
	case z == ZeroNullOrStop && nullable:
		return change.NullValue(), true
	case z != ZeroEpoch:
		return change.NullValue(), false
	case kind == change.Date:
		return change.DateValue(0), true
	case kind == change.Timestamp:
		return change.TimestampValue(0), true
	}
	return change.DatetimeValue(0), true
}
