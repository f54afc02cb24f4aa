// Package e2e holds the tests that run the real program against real servers: loads under kill -9, crash
// points, and what happens at the limits. It has no code of its own outside its tests.
package e2e
