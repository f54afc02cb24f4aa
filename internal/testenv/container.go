package testenv

import "context"

func (s *MySQLServer) runContainer(context.Context, flavor, []string) error { return errNotHere }
func (s *PostgresServer) runContainer(context.Context, []string) error      { return errNotHere }
