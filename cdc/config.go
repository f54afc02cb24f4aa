package cdc

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// Config says how to reach the source. The zero value of every optional field means its default.
type Config struct {
	// Host is a name, an address, or the absolute path of a Unix socket.
	Host string
	Port int // default 3306; not used of a socket
	User string
	// Password is asked at every connection, so that a rotated secret is picked up; nil means none.
	Password func() (string, error)
	TLS      TLS
	// Type is "mysql", "mariadb", or "auto" and "" to ask the server. A server of another type than the
	// one named is an error.
	Type string
	// ServerID is our own replication id; 0 draws a random one from the upper half of the id space.
	ServerID uint32
	// Heartbeat is how often the server speaks when its log is silent; three of them without a word
	// end a connection. Default 5 s.
	Heartbeat time.Duration
	// DialTimeout bounds connecting and logging in. Default 10 s.
	DialTimeout time.Duration
	// ZeroDates says what becomes of dates that have no day.
	ZeroDates ZeroDates
}

func (c Config) withDefaults() Config {
	if c.Port == 0 {
		c.Port = 3306
	}
	if c.Heartbeat <= 0 {
		c.Heartbeat = 5 * time.Second
	}
	if c.DialTimeout <= 0 {
		c.DialTimeout = 10 * time.Second
	}
	return c
}

// Network is "unix" of a socket path and "tcp" otherwise.
func (c Config) Network() string {
	if strings.HasPrefix(c.Host, "/") {
		return "unix"
	}
	return "tcp"
}

// Address is what to dial.
func (c Config) Address() string {
	if c.Network() == "unix" {
		return c.Host
	}
	return net.JoinHostPort(c.Host, strconv.Itoa(c.withDefaults().Port))
}

// Secret returns the password.
func (c Config) Secret() (string, error) {
	if c.Password == nil {
		return "", nil
	}
	p, err := c.Password()
	if err != nil {
		return "", fmt.Errorf("read the password of source user %s: %w", c.User, err)
	}
	return p, nil
}

// isLocal reports whether traffic to the host stays on this machine.
func (c Config) isLocal() bool {
	if c.Network() == "unix" || strings.EqualFold(c.Host, "localhost") {
		return true
	}
	ip := net.ParseIP(c.Host)
	return ip != nil && ip.IsLoopback()
}

// ZeroDates is what becomes of a date or time without a day: 0000-00-00, 2024-00-00, 2024-02-31. Such
// values exist in MySQL only; no destination can hold them.
type ZeroDates uint8

// The ways to treat a zero date.
const (
	// ZeroNullOrStop makes it NULL where the column allows NULL, and an error where not.
	ZeroNullOrStop ZeroDates = iota
	// ZeroStop makes it an error.
	ZeroStop
	// ZeroEpoch makes it 1970-01-01.
	ZeroEpoch
)

// ParseZeroDates reads the config's word.
func ParseZeroDates(s string) (ZeroDates, error) {
	switch s {
	case "", "null_or_stop":
		return ZeroNullOrStop, nil
	case "stop":
		return ZeroStop, nil
	case "epoch":
		return ZeroEpoch, nil
	}
	return 0, fmt.Errorf("zero_dates %q: want null_or_stop, stop or epoch", s)
}
