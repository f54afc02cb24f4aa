// Package cdc turns a MySQL-family database into changes: it connects to the source, knows its flavour,
// catalog and positions, and checks what replication needs. Package binlog below it reads the log,
// package snapshot reads chunks of tables; both give identical values for identical rows.
//
// Nothing here writes to the source: every SQL session is read-only.
package cdc
