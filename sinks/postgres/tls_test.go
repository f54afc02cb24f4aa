package postgres

import (
	"context"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/etlsandbox/cdc/sinks/sinktest"
)

// TestTLS: a server that nobody vouches for is not talked to, unless the settings say so.
func TestTLS(t *testing.T) {
	begin := func(conn net.Conn) error {
		var request [8]byte
		if _, err := io.ReadFull(conn, request[:]); err != nil {
			return err
		}
		if want := [8]byte{0, 0, 0, 8, 4, 210, 22, 47}; request != want { // SSLRequest
			return fmt.Errorf("the first words are %v", request)
		}
		_, err := conn.Write([]byte{'S'})
		return err
	}
	sinktest.TLS(t, begin, func(ctx context.Context, addr *net.TCPAddr, c sinktest.TLSSettings) error {
		s, err := New(Config{Name: "n", Host: "127.0.0.1", Port: addr.Port, Database: "d", User: "u", Password: "p",
			TLS: TLS{Mode: c.Mode, CA: c.CA, ServerName: c.ServerName}})
		if err != nil {
			return err
		}
		err = s.Prepare(ctx, "s", nil)
		if e := s.Close(); e != nil {
			t.Error(e)
		}
		return err
	})
}
