// Package archtest holds no code: its tests enforce the layout of the module.
// Imports go one way, from cmd down to schemas; the engine stays pure; only
// the outermost code reads flags and the environment; and files, functions
// and interfaces stay small. Each rule stands in a table beside its reason.
package archtest
