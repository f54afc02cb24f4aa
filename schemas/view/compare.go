package view

// Comparison is the class under which two values compare in a join condition.
type Comparison uint8
