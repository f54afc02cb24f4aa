package binlog

import (
	"encoding/binary"
	"errors"

	"github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/schemas/change"
)

var errTime = errors.New("is not a time in the server's format")

// temporal decodes dates and times.
func (d *decoder) temporal(p *plan, f *field, b []byte) (change.Value, error) {
	switch f.op {
	case opDate:
		v := int(b[0]) | int(b[1])<<8 | int(b[2])<<16
		days, ok := cdc.Days(v>>9, v>>5&15, v&31)
		if !ok {
			return p.zeroDate(f, change.Date, b)
		}
		return change.DateValue(days), nil
	case opDatetime2:
		return p.datetime2(f, b)
	case opDatetime:
		v := binary.LittleEndian.Uint64(b) // YYYYMMDDhhmmss as a number
		date, time := v/1000000, v%1000000
		days, ok := cdc.Days(int(min(date/10000, 1e6)), int(date/100%100), int(date%100))
		if !ok || time/10000 > 23 || time/100%100 > 59 || time%100 > 59 {
			return p.zeroDate(f, change.Datetime, b)
		}
		return change.DatetimeValue(cdc.Micros(days, int(time/10000), int(time/100%100), int(time%100), 0)), nil
	case opTimestamp2, opTimestamp:
		return p.timestamp(f, b)
	case opTime2:
		return p.time2(f, b)
	default: // opTime: hhmmss as a signed number of three bytes
		v := int64(int32(uint32(b[0])<<8|uint32(b[1])<<16|uint32(b[2])<<24) >> 8)
		sign := int64(1)
		if v < 0 {
			sign, v = -1, -v
		}
		if v/100%100 > 59 || v%100 > 59 {
			return change.Value{}, p.bad(f, b, errTime)
		}
		return change.TimeValue(sign * (v/10000*3600 + v/100%100*60 + v%100) * 1e6), nil
	}
}

func (p *plan) timestamp(f *field, b []byte) (change.Value, error) {
	if f.op == opTimestamp {
		sec := binary.LittleEndian.Uint32(b)
		if sec == 0 {
			return p.zeroDate(f, change.Timestamp, b)
		}
		return change.TimestampValue(int64(sec) * 1e6), nil
	}
	sec := binary.BigEndian.Uint32(b)
	micro := fraction(b[4:])
	if sec == 0 && micro == 0 {
		return p.zeroDate(f, change.Timestamp, b)
	}
	if micro > 999999 {
		return change.Value{}, p.bad(f, b, errTime)
	}
	return change.TimestampValue(int64(sec)*1e6 + micro), nil
}

// datetime2: one sign bit, 17 bits year*13+month, 5 day, 5 hour, 6 minute, 6 second, big-endian.
func (p *plan) datetime2(f *field, b []byte) (change.Value, error) {
	v := int64(binary.BigEndian.Uint32(b))<<8 | int64(b[4])
	v -= 0x8000000000
	micro := fraction(b[5:])
	if v < 0 || micro > 999999 {
		return change.Value{}, p.bad(f, b, errTime)
	}
	month := int(v >> 22)
	hour, minute, second := int(v>>12&31), int(v>>6&63), int(v&63)
	days, ok := cdc.Days(month/13, month%13, int(v>>17&31))
	if !ok {
		return p.zeroDate(f, change.Datetime, b)
	}
	if hour > 23 || minute > 59 || second > 59 {
		return change.Value{}, p.bad(f, b, errTime)
	}
	return change.DatetimeValue(cdc.Micros(days, hour, minute, second, int(micro))), nil
}

// time2: one sign bit, one unused, 10 bits hour, 6 minute, 6 second and the fraction; of a negative time
// the whole number, fraction included, is the complement.
func (p *plan) time2(f *field, b []byte) (change.Value, error) {
	var v int64
	for _, c := range b {
		v = v<<8 | int64(c)
	}
	bits := 8 * (len(b) - 3)
	v -= int64(0x800000) << bits
	sign := int64(1)
	if v < 0 {
		sign, v = -1, -v
	}
	micro := v & (1<<bits - 1)
	for i := len(b) - 3; i < 3; i++ {
		micro *= 100
	}
	if bits == 0 {
		micro = 0
	}
	v >>= bits
	hour, minute, second := v>>12&0x3ff, v>>6&63, v&63
	if minute > 59 || second > 59 || micro > 999999 {
		return change.Value{}, p.bad(f, b, errTime)
	}
	return change.TimeValue(sign * ((hour*60+minute)*60_000_000 + second*1_000_000 + micro)), nil
}

// fraction returns the microseconds that 0 to 3 big-endian bytes hold, two digits a byte.
func fraction(b []byte) int64 {
	switch len(b) {
	case 1:
		return int64(b[0]) * 10000
	case 2:
		return int64(binary.BigEndian.Uint16(b)) * 100
	case 3:
		return int64(b[0])<<16 | int64(b[1])<<8 | int64(b[2])
	}
	return 0
}

func (p *plan) zeroDate(f *field, kind change.Kind, b []byte) (change.Value, error) {
	v, ok := p.zero.ZeroDate(kind, f.nullable)
	if !ok {
		return v, p.bad(f, b, errors.New("is a date without a day (source.zero_dates says what to do with those)"))
	}
	return v, nil
}
