package embedded

import "time"

// HalfFull is the Fill from which on writers make their batches wider, and covers wait for running destinations.
const HalfFull = 0.5

// paceMost is the least time between two commits when the broker is full.
const paceMost = 3 * time.Second

// Pace is the least time between two commits of a writer at a Fill: none while the broker is half empty, and more the
// fuller it is, so that a destination that is away finds what it has missed.
func Pace(fill float64) time.Duration {
	full := min(1, max(0, (fill-HalfFull)/(1-HalfFull)))
	return time.Duration(full * float64(paceMost))
}
