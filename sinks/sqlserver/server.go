package sqlserver

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/etlsandbox/cdc/sinks"
)

const azureSQL = 5 // engine edition whose version number says nothing

// checkServer refuses what is too old.
func (s *Sink) checkServer(ctx context.Context) error {
	var version, edition, snapshot int
	var rcsi bool
	if _, err := s.session.one(ctx, serverSQL.with(), nil, &version, &edition, &snapshot, &rcsi); err != nil {
		return fmt.Errorf("read the server's version: %w", err)
	}
	if version < oldestServer && edition != azureSQL {
		return &sinks.StopError{
			What: fmt.Sprintf("SQL Server of major version %d is too old", version),
			Hint: "use SQL Server 2017 (major version 14) or later",
		}
	}
	if s.cfg.Warn != nil && !rcsi {
		s.cfg.Warn(fmt.Sprintf("readers of database %s wait for each batch of sink %s, and it for them: ALTER DATABASE %s SET READ_COMMITTED_SNAPSHOT ON WITH ROLLBACK IMMEDIATE",
			s.cfg.Database, s.cfg.Name, ident(s.cfg.Database)))
	}
	if s.cfg.Warn != nil && snapshot != 1 {
		s.cfg.Warn(fmt.Sprintf("cdc verify makes sink %s wait while it reads: ALTER DATABASE %s SET ALLOW_SNAPSHOT_ISOLATION ON", s.cfg.Name, ident(s.cfg.Database)))
	}
	return nil
}

// rights are what a user may do, as HAS_PERMS_BY_NAME tells: not valid when there is no such schema.
type rights struct {
	user          string
	create        sql.NullInt64
	alter         sql.NullInt64
	sel, ins, upd sql.NullInt64
	del           sql.NullInt64
}

// grants are the statements that give the user what it lacks in a schema.
func (r rights) grants(schema string) string {
	var lines, lacks []string
	if r.create.Int64 != 1 {
		lines = append(lines, fmt.Sprintf("GRANT CREATE TABLE TO %s", ident(r.user)))
	}
	for _, w := range [...]struct {
		name string
		has  sql.NullInt64
	}{{"SELECT", r.sel}, {"INSERT", r.ins}, {"UPDATE", r.upd}, {"DELETE", r.del}, {"ALTER", r.alter}} {
		if w.has.Int64 != 1 {
			lacks = append(lacks, w.name)
		}
	}
	if len(lacks) > 0 {
		lines = append(lines, fmt.Sprintf("GRANT %s ON SCHEMA::%s TO %s", strings.Join(lacks, ", "), ident(schema), ident(r.user)))
	}
	return strings.Join(lines, "; ")
}

// checkRights names the grants that are missing, for every schema that is delivered to.
func (s *Sink) checkRights(ctx context.Context, st *stream) error {
	schemas := map[string]bool{s.cfg.Schema: true}
	for _, tg := range st.targets {
		schemas[tg.schema] = true
	}
	for _, schema := range slices.Sorted(maps.Keys(schemas)) {
		var r rights
		_, err := s.session.one(ctx, grantsSQL.with(), []any{sql.Named("schema", ident(schema))},
			&r.create, &r.alter, &r.sel, &r.ins, &r.upd, &r.del, &r.user)
		if err != nil {
			return fmt.Errorf("read the rights of the user: %w", err)
		}
		if !r.alter.Valid {
			return &sinks.StopError{
				What: fmt.Sprintf("database %s has no schema %s", s.cfg.Database, schema),
				Hint: fmt.Sprintf("CREATE SCHEMA %s; %s", ident(schema), r.grants(schema)),
			}
		}
		if lines := r.grants(schema); lines != "" {
			return &sinks.StopError{
				What: fmt.Sprintf("user %s may not keep tables in schema %s of database %s", r.user, schema, s.cfg.Database), Hint: lines,
			}
		}
	}
	return nil
}
