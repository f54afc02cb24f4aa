package rewrite

import _ "embed"

// Library is the SQL that makes the functions and views which translated statements call, in schema tds. It may run
// again and again.
//
//go:embed library.sql
var Library string

// SystemViews is the SQL of the views that stand for SQL Server's catalog.
//
//go:embed views.sql
var SystemViews string
