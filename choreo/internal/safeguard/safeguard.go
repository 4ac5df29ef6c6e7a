//go:build !mutations

// Package safeguard lets a simulation switch off one safeguard of the engine, to
// prove that it would notice. That is possible in a build with the tag
// mutations alone: in any other, Off is constantly false, and the compiler
// leaves nothing of it.
package safeguard

// Off tells whether the safeguard of that name is switched off.
func Off(string) bool { return false }

// Switch switches one safeguard off, and all others on. It tells whether this
// build can.
func Switch(string) bool { return false }
