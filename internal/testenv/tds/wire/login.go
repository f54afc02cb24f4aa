package wire

import (
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
)

// Encryption is what a side says about TLS in its pre-login.
type Encryption byte

// What a client asks for, and a server answers.
const (
	EncryptLogin    Encryption = 0 // "off": the login alone is encrypted
	EncryptAll      Encryption = 1
	EncryptNever    Encryption = 2
	EncryptRequired Encryption = 3
)

const (
	optionVersion    = 0
	optionEncryption = 1
	optionFedAuth    = 6
	optionEnd        = 0xff
)

// ReadPrelogin reads the client's first message and returns what it says about TLS.
func ReadPrelogin(r io.Reader) (Encryption, error) {
	kind, body, err := ReadMessage(r, maxPacketSize)
	if err != nil {
		return 0, fmt.Errorf("read the pre-login: %w", err)
	}
	if kind != KindPrelogin {
		return 0, fmt.Errorf("read the pre-login: a message of kind %d came (a TLS handshake at once is TDS 8, encrypt=strict, which the double does not speak)", kind)
	}
	e := EncryptNever
	for at := 0; ; at += 5 {
		if at >= len(body) {
			return 0, fmt.Errorf("read the pre-login: %w", errShort)
		}
		option := body[at]
		if option == optionEnd {
			return e, nil
		}
		if at+5 > len(body) {
			return 0, fmt.Errorf("read the pre-login: %w", errShort)
		}
		from := int(binary.BigEndian.Uint16(body[at+1:]))
		size := int(binary.BigEndian.Uint16(body[at+3:]))
		if from+size > len(body) {
			return 0, fmt.Errorf("read the pre-login: %w", errShort)
		}
		switch {
		case option == optionEncryption && size == 1:
			e = Encryption(body[from])
			if e > EncryptRequired {
				return 0, fmt.Errorf("read the pre-login: encryption %d is not one that the double implements", e)
			}
		case option == optionFedAuth:
			return 0, fmt.Errorf("read the pre-login: federated authentication is not one of the double's logins")
		}
	}
}

// serverVersion is what the double says it is: 16.0.4236 (2022), so that drivers use what servers of today know.
var serverVersion = [4]byte{16, 0, 0x10, 0x8c}

// PreloginReply is the server's answer.
func PreloginReply(e Encryption) []byte {
	const options = 11 // two of five bytes and the end
	out := []byte{
		optionVersion, 0, options, 0, 6,
		optionEncryption, 0, options + 6, 0, 1,
		optionEnd,
	}
	out = append(out, serverVersion[:]...)
	return append(out, 0, 0, byte(e))
}

// Login is what a client says about itself. Password must not be logged.
type Login struct {
	User, Password, App, Host, Database string
	PacketSize                          int
}

// loginFixed is the length of a login's fixed part.
const loginFixed = 94

// ReadLogin takes a LOGIN7 message apart.
func ReadLogin(body []byte) (Login, error) {
	if len(body) < loginFixed {
		return Login{}, fmt.Errorf("read the login: %w", errShort)
	}
	if v := binary.LittleEndian.Uint32(body[4:]); v>>24 < 0x74 {
		return Login{}, fmt.Errorf("read the login: the client speaks TDS version %#x, the double 7.4 alone", v)
	}
	var failed error
	field := func(at int) []byte {
		from := int(binary.LittleEndian.Uint16(body[at:]))
		n := 2 * int(binary.LittleEndian.Uint16(body[at+2:]))
		if from+n > len(body) {
			failed = fmt.Errorf("read the login: %w", errShort)
			return nil
		}
		return body[from : from+n]
	}
	text := func(b []byte) string {
		s, err := fromUTF16(b)
		if err != nil {
			failed = fmt.Errorf("read the login: %w", err)
		}
		return s
	}
	l := Login{
		PacketSize: int(binary.LittleEndian.Uint32(body[8:])),
		Host:       text(field(36)), User: text(field(40)), App: text(field(48)), Database: text(field(68)),
	}
	hidden := append([]byte(nil), field(44)...)
	for i, b := range hidden {
		b ^= 0xa5
		hidden[i] = b<<4 | b>>4
	}
	l.Password = text(hidden)
	if len(field(78)) > 0 {
		failed = fmt.Errorf("read the login: integrated authentication is not one of the double's logins")
	}
	return l, failed
}

// Accept writes the tokens that end a successful login.
func (t *Tokens) Accept(database string, packetSize int) {
	t.Database(database, "master")
	collation := (serverCollation).Wire()
	t.env(envCollation, collation[:], nil)
	t.envText(envLanguage, "us_english", "")
	var ack []byte
	ack = append(ack, 1, 0x74, 0, 0, 4)
	ack = appendShort(ack, "Microsoft SQL Server")
	ack = append(ack, serverVersion[:]...)
	t.sized(tokenLoginAck, ack)
	t.envText(envPacketSize, strconv.Itoa(packetSize), strconv.Itoa(DefaultPacketSize))
}
