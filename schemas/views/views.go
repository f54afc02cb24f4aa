// Package views carries the view file that is shipped with cdc, so that a binary
// without its source tree can write it as an example and prove its own demo.
package views

import _ "embed" // the view file is data, not code

//go:embed customer_order_flat.sql
var example string

// Example returns the text of the shipped view file: a comment and one CREATE VIEW
// statement in MySQL's dialect.
func Example() string { return example }

// ExampleFile is the name under which `cdc init` writes that text.
const ExampleFile = "customer_order_flat.sql"
