package cdc

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/etlsandbox/cdc/schemas/change"
)

// EstimatedRows returns how many rows the server believes its tables to have, by TableID.String: a guess that
// may be off by half.
func (s *Source) EstimatedRows(ctx context.Context) (map[string]uint64, error) {
	rows, err := s.DB().QueryContext(ctx, "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_ROWS FROM information_schema.TABLES"+
		" WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')")
	if err != nil {
		return nil, fmt.Errorf("ask for the sizes of tables: %w", err)
	}
	defer func() { _ = rows.Close() }()
	sizes := map[string]uint64{}
	for rows.Next() {
		var id change.TableID
		var n sql.NullInt64
		if err := rows.Scan(&id.DB, &id.Name, &n); err != nil {
			return nil, fmt.Errorf("ask for the sizes of tables: %w", err)
		}
		sizes[id.String()] = uint64(max(0, n.Int64))
	}
	return sizes, rows.Err()
}

// KeepsLog returns how long the server keeps its log; 0: it does not drop it by age.
func (s *Source) KeepsLog(ctx context.Context) (time.Duration, error) {
	var name string
	var value float64
	for _, v := range []struct {
		name string
		unit time.Duration
	}{{"binlog_expire_logs_seconds", time.Second}, {"expire_logs_days", 24 * time.Hour}} {
		err := s.DB().QueryRowContext(ctx, "SHOW GLOBAL VARIABLES LIKE '"+v.name+"'").Scan(&name, &value)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			continue
		case err != nil:
			return 0, fmt.Errorf("ask how long the log is kept: %w", err)
		}
		return time.Duration(value * float64(v.unit)), nil
	}
	return 0, nil
}
