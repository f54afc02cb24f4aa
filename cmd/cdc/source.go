package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	capture "github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/internal/config"
	"github.com/etlsandbox/cdc/schemas/change"
)

// sourceConfig turns the settings of the source into the capture's.
func sourceConfig(s *config.Source) (capture.Config, error) {
	zero, err := capture.ParseZeroDates(s.ZeroDates)
	if err != nil {
		return capture.Config{}, err
	}
	return capture.Config{
		Host: s.Host, Port: s.Port, User: s.User, Type: s.Type, ServerID: uint32(s.ServerID), Heartbeat: s.Heartbeat, ZeroDates: zero,
		Password: func() (string, error) { return s.Password.Reveal(), nil },
		TLS:      capture.TLS{Mode: s.TLS.Mode, CA: s.TLS.CA, Cert: s.TLS.Cert, Key: s.TLS.Key, ServerName: s.TLS.ServerName},
	}, nil
}

// sourceFilter turns the choice of tables and columns into the capture's.
func sourceFilter(s *config.Source) capture.Filter {
	return capture.Filter{
		Table:  func(t change.TableID) bool { return s.Tables.Match(t.DB, t.Name) },
		Column: func(t change.TableID, column string) bool { return !s.Columns.Excluded(t.DB, t.Name, column) },
	}
}

// sourceURL is what `cdc init --source` names: mysql://user:password@host:port/database, where all but
// user and host may be missing.
type sourceURL struct {
	Host     string
	Port     int
	User     string
	Password string
	Database string
}

func parseSourceURL(text string) (sourceURL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return sourceURL{}, errors.New("the source is no URL: write mysql://USER@HOST:3306/DATABASE") // err may hold the password
	}
	if (u.Scheme != "mysql" && u.Scheme != "mariadb") || u.Hostname() == "" || u.User.Username() == "" {
		return sourceURL{}, fmt.Errorf("the source %q is incomplete: write mysql://USER@HOST:3306/DATABASE", u.Redacted())
	}
	s := sourceURL{Host: u.Hostname(), Port: 3306, User: u.User.Username(), Database: strings.Trim(u.Path, "/")}
	s.Password, _ = u.User.Password()
	if p := u.Port(); p != "" {
		if s.Port, err = strconv.Atoi(p); err != nil {
			return sourceURL{}, fmt.Errorf("the source's port %q is no number", p)
		}
	}
	return s, nil
}

// inspection is what a source looks like to somebody about to capture it.
type inspection struct {
	Flavor, Version string
	Tables          []string // database.table
	// Unsupported names what cannot be captured, with the line that leaves it out; "" when nothing.
	Unsupported string
}

// inspect connects and lists the tables.
func inspect(ctx context.Context, s sourceURL) (inspection, error) {
	src, err := capture.Open(ctx, capture.Config{
		Host: s.Host, Port: s.Port, User: s.User, Password: func() (string, error) { return s.Password, nil },
	})
	if err != nil {
		return inspection{}, err
	}
	defer src.Close()
	out := inspection{Flavor: string(src.Server().Flavor), Version: src.Server().Version}
	tables, err := src.Tables(ctx, capture.Filter{Table: func(t change.TableID) bool { return s.Database == "" || t.DB == s.Database }})
	if err != nil && !errors.Is(err, capture.ErrUnsupported) {
		return inspection{}, err
	}
	if err != nil {
		out.Unsupported = err.Error()
	}
	for _, t := range tables {
		out.Tables = append(out.Tables, t.ID.String())
	}
	return out, nil
}
