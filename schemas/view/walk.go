package view

import "slices"

// children returns the operands of a node.
func children(n node) []node {
	switch n := n.(type) {
	case *intArith:
		return []node{n.l, n.r}
	case *decArith:
		return []node{n.l, n.r}
	case *doubleArith:
		return []node{n.l, n.r}
	case *negation:
		return []node{n.arg}
	case *comparison:
		return []node{n.l, n.r}
	case *logic:
		return []node{n.l, n.r}
	case *not:
		return []node{n.arg}
	case *isNull:
		return []node{n.arg}
	case *isTruth:
		return []node{n.arg}
	case *inList:
		out := []node{n.arg}
		for _, c := range n.list {
			out = append(out, c.r)
		}
		return out
	case *between:
		return []node{n.low, n.high}
	case *like:
		return []node{n.arg, n.pattern}
	case *collated:
		return []node{n.arg}
	case *rescaled:
		return []node{n.arg}
	}
	return textChildren(n)
}

func textChildren(n node) []node {
	switch n := n.(type) {
	case *concat:
		return append(present(n.sep), n.args...)
	case *letterCase:
		return []node{n.arg}
	case *trim:
		return present(n.arg, n.cut)
	case *substring:
		return present(n.arg, n.from, n.count)
	case *datePart:
		return []node{n.arg}
	case *choice:
		out := append(slices.Clone(n.when), n.then...)
		return append(out, present(n.otherwise)...)
	case *coalesce:
		return n.args
	case *conversion:
		return []node{n.arg}
	case *cast:
		return []node{n.arg}
	case *round:
		return []node{n.arg}
	}
	return nil
}

func present(ns ...node) []node {
	return slices.DeleteFunc(ns, func(n node) bool { return n == nil })
}

// visitColumns calls f for every column of an expression. A node may be shared: f may see it again.
func visitColumns(n node, f func(*column)) {
	if c, ok := n.(*column); ok {
		f(c)
		return
	}
	for _, k := range children(n) {
		visitColumns(k, f)
	}
}

// inputsOf returns the inputs that an expression reads, in order.
func inputsOf(n node) []int {
	var out []int
	visitColumns(n, func(c *column) {
		if !slices.Contains(out, c.input) {
			out = append(out, c.input)
		}
	})
	slices.Sort(out)
	return out
}

// Reads reports whether the expression reads a column of the input. Of an expression that was not compiled
// here it is true.
func Reads(e Expr, input int) bool {
	n, ok := e.(node)
	return !ok || slices.Contains(inputsOf(n), input)
}
