package migrate

import (
	"context"
	"errors"
	"fmt"

	"github.com/pressly/goose/v3/database"
)

// store is the table of versions as goose knows it. Goose's own stores have no place for the statement, and their
// types are not those of every server that is delivered to.
type store struct {
	db         *Database
	statements map[int64]string
}

var _ database.StoreExtender = (*store)(nil)

// Tablename implements database.Store.
func (s *store) Tablename() string { return s.db.Table }

// TableExists implements database.StoreExtender.
func (s *store) TableExists(ctx context.Context, db database.DBTxConn) (bool, error) {
	return s.db.exists(ctx, db)
}

// CreateVersionTable implements database.Store.
func (s *store) CreateVersionTable(ctx context.Context, db database.DBTxConn) error {
	if _, err := db.ExecContext(ctx, s.db.Texts.Create); err != nil {
		return fmt.Errorf("create %s: %w", s.db.Table, err)
	}
	return nil
}

// Insert implements database.Store.
func (s *store) Insert(ctx context.Context, db database.DBTxConn, req database.InsertRequest) error {
	if _, err := db.ExecContext(ctx, s.db.Texts.Insert, req.Version, s.statements[req.Version]); err != nil {
		return fmt.Errorf("write version %d to %s: %w", req.Version, s.db.Table, err)
	}
	return nil
}

// Delete implements database.Store. There is no way back from a version: what it changed holds data.
func (s *store) Delete(context.Context, database.DBTxConn, int64) error {
	return errors.ErrUnsupported
}

// GetMigration implements database.Store.
func (s *store) GetMigration(ctx context.Context, db database.DBTxConn, version int64) (*database.GetMigrationResult, error) {
	list, err := s.db.list(ctx, db)
	if err != nil {
		return nil, err
	}
	for _, a := range list {
		if a.Version == version {
			return &database.GetMigrationResult{Timestamp: a.At, IsApplied: true}, nil
		}
	}
	return nil, database.ErrVersionNotFound
}

// GetLatestVersion implements database.Store.
func (s *store) GetLatestVersion(ctx context.Context, db database.DBTxConn) (int64, error) {
	list, err := s.db.list(ctx, db)
	return latest(list), err
}

// ListMigrations implements database.Store.
func (s *store) ListMigrations(ctx context.Context, db database.DBTxConn) ([]*database.ListMigrationsResult, error) {
	list, err := s.db.list(ctx, db)
	if err != nil {
		return nil, err
	}
	out := make([]*database.ListMigrationsResult, 0, len(list)+1)
	for _, a := range list {
		out = append(out, &database.ListMigrationsResult{Version: a.Version, IsApplied: true})
	}
	return append(out, &database.ListMigrationsResult{IsApplied: true}), nil // goose's first
}
