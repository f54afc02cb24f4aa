package sample

import "math/bits"

// dice is a random source whose sequence is fixed for all time (splitmix64), unlike
// that of a library, so a seed gives the same rows with every build. It is small
// enough that every generated row has its own: row n never depends on the rows
// before it, and nothing is kept in memory.
type dice struct{ state uint64 }

// newDice gives the dice of one row of one table.
func newDice(seed int64, table string, row int) dice {
	h := uint64(14695981039346656037) // FNV-1a
	for i := range len(table) {
		h = (h ^ uint64(table[i])) * 1099511628211
	}
	return dice{state: mix(uint64(seed)) ^ mix(h+uint64(row)*0x9e3779b97f4a7c15)}
}

func (d *dice) next() uint64 {
	d.state += 0x9e3779b97f4a7c15
	return mix(d.state)
}

func mix(z uint64) uint64 {
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

// below returns a number in [0, n); n must be positive.
func (d *dice) below(n int) int {
	hi, _ := bits.Mul64(d.next(), uint64(n))
	return int(hi)
}

// between returns a number in [lo, hi]; it returns lo where hi is smaller.
func (d *dice) between(lo, hi int64) int64 {
	if hi <= lo {
		return lo
	}
	n, _ := bits.Mul64(d.next(), uint64(hi-lo)+1)
	return lo + int64(n)
}

// percent is true p times in a hundred.
func (d *dice) percent(p int) bool { return d.below(100) < p }

// pick returns one element of a list that is not empty.
func pick[T any](d *dice, list []T) T { return list[d.below(len(list))] }
