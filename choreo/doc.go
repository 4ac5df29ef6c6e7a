// Package choreo is the engine of a choreography: small Kafka consumers that
// react to facts and publish facts of their own, without a conductor.
//
// This package is what an author of handlers sees: a [Fact] and the [Event]
// that carries it; [On] and [OnEffect], which say who reacts to what; [Tx], the
// transaction a reaction runs in; and [Commit], the unit of work of a command.
// What carries the facts stands in the packages beside it: wire, relay,
// consume, steps, saga. The engine knows no fact by name.
package choreo
