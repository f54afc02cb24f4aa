package testenv

import "context"

// SQLServer returns the SQL Server, or its double, that the package's tests share; a test takes a database of its
// own on it (CreateDatabase).
func SQLServer(t TB) *SQLServerInstance {
	t.Helper()
	s, env := open(t)
	server, err := s.sqlserver.get(func() (*SQLServerInstance, error) {
		return env.startSQLServer(s.ctx, anySource, func() (*PostgresServer, error) { return sharedPostgres(s, env) })
	})
	return must(t, env, KindSQLServer, server, err)
}

// NewSQLServer starts a double for one test, which may crash it and let it fail. It ends with the test; the
// PostgreSQL server below it is shared.
func NewSQLServer(t TB) *SQLServerInstance {
	t.Helper()
	s, env := open(t)
	server, err := env.startSQLServer(s.ctx, ownSource, func() (*PostgresServer, error) { return sharedPostgres(s, env) })
	server = must(t, env, KindSQLServer, server, err)
	discard(t, server.Server)
	return server
}

func sharedPostgres(s *session, env *Env) (*PostgresServer, error) {
	return s.postgres.get(func() (*PostgresServer, error) { return env.Postgres(s.ctx) })
}

// CreateDatabase makes an empty database for one test and returns its name. It is dropped with the test, if the
// server still answers and nobody is in it.
func (s *SQLServerInstance) CreateDatabase(t TB) string {
	t.Helper()
	name := databaseName()
	ctx, cancel := context.WithTimeout(context.Background(), databaseTimeout)
	defer cancel()
	if err := s.Exec(ctx, "", "CREATE DATABASE ["+name+"]"); err != nil {
		t.Fatalf("testenv: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), databaseTimeout)
		defer cancel()
		_ = s.Exec(ctx, "", "DROP DATABASE IF EXISTS ["+name+"]") // the test may have ended the server
	})
	return name
}
