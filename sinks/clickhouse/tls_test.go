package clickhouse

import (
	"context"
	"net"
	"testing"

	"github.com/etlsandbox/cdc/sinks/sinktest"
)

// TestTLS: over both protocols a server that nobody vouches for is not talked to, unless the settings say so.
func TestTLS(t *testing.T) {
	for _, p := range []Protocol{HTTP, Native} {
		t.Run(string(p), func(t *testing.T) {
			sinktest.TLS(t, nil, func(ctx context.Context, addr *net.TCPAddr, c sinktest.TLSSettings) error {
				s, err := New(Config{Name: "n", Host: "127.0.0.1", Port: addr.Port, Protocol: p, User: "u", Password: "p",
					TLS: TLS{Mode: c.Mode, CA: c.CA, ServerName: c.ServerName}})
				if err != nil {
					return err
				}
				err = s.Prepare(ctx, streamName, nil)
				if e := s.Close(); e != nil {
					t.Error(e)
				}
				return err
			})
		})
	}
}
