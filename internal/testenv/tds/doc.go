// Package tds is a double of SQL Server for tests and the demo. It speaks TDS 7.4 to real drivers, with TLS, and has
// PostgreSQL execute what they send, so that statements have their real effect: data is stored, transactions roll
// back, duplicate keys are refused, and all of it survives a crash.
//
//	wire      the protocol
//	tsql      T-SQL to a tree
//	rewrite   the tree to PostgreSQL's SQL, with SQL Server's types, comparisons and limits
//	datatype  what they share
//
// The double answers with an error of its own, number 50700, whatever it does not fully implement: it never says
// "done" to what it did not do. What it cannot show is how a real server locks, plans and escalates; its readers
// never wait for writers, as under READ_COMMITTED_SNAPSHOT.
//
// A database of T-SQL is a group of PostgreSQL schemas, "database/schema", in the one PostgreSQL database that a
// Server is given.
package tds
