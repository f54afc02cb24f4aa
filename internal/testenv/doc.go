// Package testenv gives tests and the demo real database servers.
//
// A server comes from the first of these that works:
//
//  1. an address in the environment (CDC_TEST_MARIADB, CDC_TEST_MYSQL,
//     CDC_TEST_POSTGRES, CDC_TEST_KAFKA, CDC_TEST_CLICKHOUSE,
//     CDC_TEST_SQLSERVER);
//  2. a program that is already on the machine;
//  3. Debian packages (Maven artifacts for Kafka), downloaded and unpacked
//     into the cache folder: nothing is installed and no service is started;
//     (npm for MySQL 5.7 and for the engine of ClickHouse; that also from the
//     archive that CDC_TEST_CLICKHOUSE_ARCHIVE names);
//  4. a container, where Docker answers.
//
// SQL Server is not to be had that way: without an address it is the double of
// package tds, inside the process, over a PostgreSQL server from these sources.
//
// If none does, the error is a [MissingError] that lists what to install.
//
// Servers belong to an [Env]. They run unprivileged (root drops to nobody) in
// a private temporary folder, listen on free loopback ports only, and end with
// the process that started them: Close stops them and removes the folder, and
// on Linux the kernel ends them even when that process is killed. A folder
// whose owner died so is removed by the next Start.
//
// Tests use the functions that take a [TB]; their package calls [Main] in
// TestMain. All other callers use [Start].
package testenv
