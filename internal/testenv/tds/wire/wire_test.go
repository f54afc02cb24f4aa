package wire

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/etlsandbox/cdc/internal/testenv/tds/datatype"
)

// TestPackets cuts messages of every length near a packet's and puts them together again.
func TestPackets(t *testing.T) {
	for _, n := range []int{0, 1, 503, 504, 505, 1007, 1008, 1009, 100_000} {
		want := bytes.Repeat([]byte{0xa5}, n)
		var sent bytes.Buffer
		w := NewPacketWriter(&sent, KindReply, MinPacketSize)
		if _, err := w.Write(want); err != nil {
			t.Fatal(err)
		}
		if err := w.Finish(); err != nil {
			t.Fatal(err)
		}
		kind, got, err := ReadMessage(&sent, n)
		if err != nil || kind != KindReply || !bytes.Equal(got, want) || sent.Len() != 0 {
			t.Errorf("%d bytes: kind %d, %d bytes back, %d left, %v", n, kind, len(got), sent.Len(), err)
		}
	}
}

// TestMessageLimit stops reading what is too long.
func TestMessageLimit(t *testing.T) {
	var sent bytes.Buffer
	w := NewPacketWriter(&sent, KindBatch, MinPacketSize)
	if _, err := w.Write(make([]byte, 2000)); err != nil {
		t.Fatal(err)
	}
	if err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadMessage(&sent, 1000); err == nil {
		t.Error("a message of 2000 bytes was read under a limit of 1000")
	}
	if _, err := ReadPacket(bytes.NewReader([]byte{1, 1, 0, 7, 0, 0, 1, 0})); err == nil {
		t.Error("a packet of 7 bytes was read")
	}
	if _, err := ReadPacket(bytes.NewReader([]byte{1, 1, 0, 9, 0, 0, 1, 0})); !errors.Is(err, io.EOF) {
		t.Errorf("a packet that is cut off: %v", err)
	}
}

// TestValues encodes values as a server does and reads them back as a client would have sent them.
func TestValues(t *testing.T) {
	digits := rapid.StringMatching(`0|-?[1-9][0-9]{0,36}`)
	kinds := []struct {
		t datatype.Type
		g *rapid.Generator[string]
	}{
		{datatype.Simple(datatype.Bit), rapid.SampledFrom([]string{"0", "1"})},
		{datatype.Simple(datatype.TinyInt), rapid.SampledFrom([]string{"0", "7", "255"})},
		{datatype.Simple(datatype.SmallInt), rapid.SampledFrom([]string{"-32768", "32767", "0"})},
		{datatype.Simple(datatype.Int), rapid.SampledFrom([]string{"-2147483648", "2147483647"})},
		{datatype.Simple(datatype.BigInt), rapid.SampledFrom([]string{"-9223372036854775808", "9223372036854775807"})},
		{datatype.Type{Kind: datatype.Decimal, Precision: 37}, digits},
		{datatype.Type{Kind: datatype.Decimal, Precision: 5, Scale: 3}, rapid.SampledFrom([]string{"0.001", "-99.999", "12.340"})},
		{datatype.Simple(datatype.Float), rapid.SampledFrom([]string{"0.1", "-1e+300", "5e-324"})},
		{datatype.Simple(datatype.Date), rapid.SampledFrom([]string{"0001-01-01", "9999-12-31", "2024-02-29"})},
		{datatype.Type{Kind: datatype.Time, Scale: 6}, rapid.SampledFrom([]string{"00:00:00", "23:59:59.999999"})},
		{datatype.Type{Kind: datatype.DateTime2, Scale: 7}, rapid.SampledFrom([]string{"0001-01-01 00:00:00", "9999-12-31 23:59:59.999999"})},
		{datatype.Type{Kind: datatype.DateTimeOffset, Scale: 3}, rapid.SampledFrom([]string{"2026-01-02 03:04:05.678+00"})},
		{datatype.NVar(4000), rapid.StringN(0, 500, 1000)},
		{datatype.NVar(datatype.Max), rapid.StringN(0, 500, 1000)},
		{datatype.Type{Kind: datatype.VarBinary, Length: datatype.Max}, rapid.StringMatching(`\\x([0-9a-f]{2}){0,40}`)},
		{datatype.Type{Kind: datatype.VarBinary, Length: 100}, rapid.StringMatching(`\\x([0-9a-f]{2}){0,40}`)},
		{datatype.Simple(datatype.UniqueIdentifier), rapid.StringMatching(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)},
	}
	rapid.Check(t, func(t *rapid.T) {
		k := kinds[rapid.IntRange(0, len(kinds)-1).Draw(t, "kind")]
		text := k.g.Draw(t, "text")
		if k.t.IsText() {
			stored, ok := datatype.Store(text)
			if !ok {
				return
			}
			text = stored
		}
		v := datatype.Value{Text: text}
		if rapid.Bool().Draw(t, "null") {
			v = datatype.Value{Null: true}
		}
		b, err := appendValue(appendType(nil, k.t), k.t, v)
		if err != nil {
			t.Fatalf("%s %q: %v", k.t, text, err)
		}
		r := NewReader(bytes.NewReader(b))
		info := r.Type()
		got := r.Value(info)
		if r.Err() != nil || r.More() {
			t.Fatalf("%s %q: %v, bytes left: %v", k.t, text, r.Err(), r.More())
		}
		if diff := cmp.Diff(v, got); diff != "" {
			t.Fatalf("%s: %s", k.t, diff)
		}
		if diff := cmp.Diff(k.t, info.Type); diff != "" {
			t.Fatalf("%s", diff)
		}
	})
}

// TestBadValues refuses what no server takes, or what the double cannot keep.
func TestBadValues(t *testing.T) {
	for name, b := range map[string][]byte{
		"NaN":                   {wireFloatN, 8, 8, 1, 0, 0, 0, 0, 0, 0xf8, 0x7f},
		"half a surrogate pair": {wireNVarChar, 8, 0, 9, 4, 0xd0, 0, 0x34, 2, 0, 0x00, 0xd8},
		"beyond 9999":           {wireDate, 3, 0xff, 0xff, 0xff},
		"25 o'clock":            {wireTime, 0, 3, 0xff, 0xff, 0xff},
		"a seventh digit":       {wireTime, 7, 5, 1, 0, 0, 0, 0},
		"an offset":             {wireOffset, 0, 8, 0, 0, 0, 0, 0, 0, 60, 0},
		"money":                 {0x6e, 8, 0},
		"an int of 3 bytes":     {wireIntN, 3, 3, 1, 2, 3},
		"too many digits":       {wireDecimal, 5, 2, 0, 5, 1, 100, 0, 0, 0},
		"chunks that lie":       {wireVarBinary, 0xff, 0xff, 5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0, 0},
		"2 GiB":                 {wireVarBinary, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
	} {
		r := NewReader(bytes.NewReader(b))
		r.Value(r.Type())
		if r.Err() == nil {
			t.Errorf("%s: was read", name)
		}
	}
}

// FuzzRead feeds every reader of the package with whatever comes; none may panic or read without end.
func FuzzRead(f *testing.F) {
	login := make([]byte, 200)
	login[7] = 0x74
	f.Add(byte(0), login)
	f.Add(byte(1), []byte{18, 1, 0, 20, 0, 0, 1, 0, 1, 0, 6, 0, 1, 0xff, 2})
	f.Add(byte(2), []byte{4, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 0, 0, 0, wireNVarChar, 8, 0, 9, 4, 0xd0, 0, 0x34, 2, 0, 'x', 0})
	f.Add(byte(3), []byte{tokenColumns, 1, 0, 0, 0, 0, 0, 0, 0, wireIntN, 4, 1, 'a', 0, tokenRow, 4, 1, 0, 0, 0, tokenDone, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add(byte(4), []byte{4, 0, 0, 0, 5, 0, 0, 0})
	f.Fuzz(func(t *testing.T, which byte, data []byte) {
		r := NewReader(bytes.NewReader(data))
		switch which % 5 {
		case 0:
			_, _ = ReadLogin(data) // an error is an answer
		case 1:
			_, _ = ReadPrelogin(bytes.NewReader(data)) // as above
		case 2:
			_ = r.Headers() // of any transaction
			c, err := r.ReadCall()
			if err == nil && len(c.Params) > len(data) {
				t.Fatalf("%d parameters from %d bytes", len(c.Params), len(data))
			}
		case 3:
			b, err := r.ReadBulk()
			if err != nil {
				return
			}
			row := make([]datatype.Value, len(b.Columns))
			for rows := 0; ; rows++ {
				if more, err := b.Next(row); err != nil || !more {
					return
				}
				if rows > len(data) {
					t.Fatalf("more than %d rows from %d bytes", rows, len(data))
				}
			}
		case 4:
			_ = r.Headers()            // of any transaction
			_, _ = r.ReadTransaction() // as above
		}
	})
}
