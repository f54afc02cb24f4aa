package sinks

// Refusal is an element that a destination refuses, and its words for it.
type Refusal struct {
	At  int
	Err error
}

// Bisect finds which of n elements are refused. try takes the elements first..last, both included, all or
// none: refusal says that one of them is refused, err that it could not be told, which ends the search.
//
// Elements are tried in their order, and try is to keep what it took: of two that exclude each other, the
// second is then the one that is refused. Of k refused elements try is called at most 1 + 2k⌈log₂ n⌉ times.
// No refusals without an error mean that nothing was refused, or only several elements together whose halves
// the destination takes one after the other.
func Bisect(n int, try func(first, last int) (refusal, err error)) ([]Refusal, error) {
	var found []Refusal
	var halve func(first, last int) error
	halve = func(first, last int) error {
		refusal, err := try(first, last)
		if err != nil || refusal == nil {
			return err
		}
		if first == last {
			found = append(found, Refusal{At: first, Err: refusal})
			return nil
		}
		mid := first + (last-first)/2
		if err := halve(first, mid); err != nil {
			return err
		}
		return halve(mid+1, last)
	}
	if n <= 0 {
		return nil, nil
	}
	if err := halve(0, n-1); err != nil {
		return nil, err
	}
	return found, nil
}
