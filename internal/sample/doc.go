// Package sample makes databases to try cdc on, and traffic for them.
//
// There are two of them. The Sakila sample (Create, Seed, NewLoad) is the one of
// `cdc seed`, the demo and the guides; its generator adds the cases that the stock
// data lacks: rentals without and with several payments, payments without a rental,
// films in no and in two categories, NULL return dates, amounts of 0.00, names that
// are not ASCII or need quoting. The warehouse sample (CreateWarehouse,
// SeedWarehouse, NewWarehouseLoad) has nothing in common with it: composite and
// string keys, left joins, a self-join, no foreign keys.
//
// Everything that is random comes from a seed. A seed gives the same rows on every
// server, at every time; a load gives each worker the same sequence of decisions,
// while the order in which workers meet is the server's.
//
// The package writes only to schemas that it created itself, which it knows by a
// table comment. It reads neither flags nor environment.
package sample
