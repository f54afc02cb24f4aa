package view

// Source says which column of which input the expression is a plain reference to; other expressions
// have no such method.
func (c *column) Source() (input, column int) { return c.input, c.col }
