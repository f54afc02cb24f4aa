// Package sim holds a deterministic simulation of the whole pipeline; all of it is tests. The real stages,
// stream writers and readers, join engine and staging run over a simulated source, a broker and
// destinations in memory. One seed is one history: the actors are coroutines, every effect hands control
// to one seeded scheduler, and a crash may happen at any of them.
//
// What is checked: after each destination transaction, that what is shown is what the source held at the
// boundary that the destination names, and that this boundary never moves back; and, once writes and
// faults have stopped, that everything settles and every destination equals the source.
package sim
