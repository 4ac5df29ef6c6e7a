package choreo

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"
)

var (
	// Skip is what Effect.Load returns when there is nothing to call: the step
	// is done, with the facts that Load emitted.
	Skip = errors.New("nothing to call") //nolint:staticcheck // it reads as what it does, and is no failure

	// ErrOutcomeUnknown is in the error handed to the builder of a giving-up
	// fact when the call was made and nobody can say what came of it.
	ErrOutcomeUnknown = errors.New("the outcome of the call is unknown")

	// ErrUndeclared is a fact emitted that the flow does not declare.
	ErrUndeclared = errors.New("the flow does not declare this fact")

	// ErrBroken is a consumer that fails whatever event it gets: it stops, and
	// nothing is set aside or given up.
	ErrBroken = errors.New("the consumer is broken")

	// ErrTooLarge is a fact larger than the limit of the database handle.
	ErrTooLarge = errors.New("the fact is too large")
)

// Refused wraps the error of a call that will never succeed: the step gives up
// at once instead of trying again.
func Refused(err error) error { return &refusedError{err} }

// RefusedIf is Refused(err) where err is one of those, else err as it is.
func RefusedIf(err error, is ...error) error {
	if slices.ContainsFunc(is, func(target error) bool { return errors.Is(err, target) }) {
		return Refused(err)
	}
	return err
}

type refusedError struct{ err error }

func (e *refusedError) Error() string { return "refused: " + e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

// IsRefused tells whether err, or one it wraps, was made by Refused.
func IsRefused(err error) bool {
	var r *refusedError
	return errors.As(err, &r)
}

// RetryAfter is how long a provider asked to wait, 0 where it did not: errors
// say so with a method RetryAfter() time.Duration.
func RetryAfter(err error) time.Duration {
	var r interface{ RetryAfter() time.Duration }
	if errors.As(err, &r) {
		return r.RetryAfter()
	}
	return 0
}

// RejectedError is a command rolled back by an in-transaction reaction that
// emitted one of its failure facts.
type RejectedError struct {
	Consumer string
	Fact     Fact
}

func (e *RejectedError) Error() string {
	return fmt.Sprintf("%s: %s: %s", e.Consumer, e.Fact.FactType(), Reason(e.Fact))
}

var errBadConn = driver.ErrBadConn

// isNetwork tells whether err comes from the connection to the database: pq
// returns the bare errors of the socket.
func isNetwork(err error) bool {
	var n *net.OpError
	return errors.As(err, &n) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
