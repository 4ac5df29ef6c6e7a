//go:build mutations

// Package safeguard lets a simulation switch off one safeguard of the engine, to
// prove that it would notice.
package safeguard

import "sync/atomic"

var off atomic.Pointer[string]

// Off tells whether the safeguard of that name is switched off.
func Off(name string) bool {
	now := off.Load()
	return now != nil && *now == name
}

// Switch switches one safeguard off, and all others on. It tells whether this
// build can.
func Switch(name string) bool {
	off.Store(&name)
	return true
}
