package check_test

import (
	"context"
	"time"

	"troupe/choreo"
)

// fact is a fact that is named by a type, so that a corpus can have as many as
// it likes.
type fact[N interface{ name() string }] struct{}

func (fact[N]) FactType() string { var n N; return n.name() }
func (fact[N]) Key() string      { return "k" }

type (
	asked      struct{}
	done1      struct{}
	done2      struct{}
	done3      struct{}
	failed1    struct{}
	failed2    struct{}
	failed3    struct{}
	undone1    struct{}
	undone2    struct{}
	undone3    struct{}
	undoFailed struct{}
	withdrawn  struct{}
	canceled   struct{}
	inner      struct{}
)

func (asked) name() string      { return "trips.Asked.v1" }
func (done1) name() string      { return "trips.FlightBooked.v1" }
func (done2) name() string      { return "trips.RoomBooked.v1" }
func (done3) name() string      { return "trips.Insured.v1" }
func (failed1) name() string    { return "trips.FlightRefused.v1" }
func (failed2) name() string    { return "trips.RoomRefused.v1" }
func (failed3) name() string    { return "trips.InsuranceRefused.v1" }
func (undone1) name() string    { return "trips.FlightReleased.v1" }
func (undone2) name() string    { return "trips.RoomReleased.v1" }
func (undone3) name() string    { return "trips.InsuranceEnded.v1" }
func (undoFailed) name() string { return "trips.ReleaseFailed.v1" }
func (withdrawn) name() string  { return "trips.Withdrawn.v1" }
func (canceled) name() string   { return "trips.Canceled.v1" }
func (inner) name() string      { return "trips.Draft.v1" }

type (
	Asked         = fact[asked]
	FlightBooked  = fact[done1]
	RoomBooked    = fact[done2]
	Insured       = fact[done3]
	FlightRefused = fact[failed1]
	RoomRefused   = fact[failed2]
	NotInsured    = fact[failed3]
	FlightFree    = fact[undone1]
	RoomFree      = fact[undone2]
	InsuranceOver = fact[undone3]
	ReleaseFailed = fact[undoFailed]
	Withdrawn     = fact[withdrawn]
	Canceled      = fact[canceled]
	Draft         = fact[inner]
)

// call is an effect that is never run.
type call[F choreo.Fact] struct{}

func (call[F]) Load(context.Context, *choreo.Tx, choreo.Event[F]) (string, error) { return "", nil }
func (call[F]) Call(context.Context, string, choreo.Event[F], string) (string, error) {
	return "", nil
}
func (call[F]) Record(context.Context, *choreo.Tx, choreo.Event[F], string) error { return nil }

func never[F choreo.Fact](context.Context, *choreo.Tx, choreo.Event[F], error) (choreo.Fact, error) {
	return Withdrawn{}, nil
}

// on is a plain reaction, as sound as one line can be.
func on[F choreo.Fact](name string) *choreo.Reaction[F] {
	return choreo.On(name, func(context.Context, *choreo.Tx, choreo.Event[F]) error { return nil }).Within(5 * time.Second)
}

// effect is an effect, as sound as one line can be.
func effect[F choreo.Fact](name string) *choreo.Reaction[F] {
	return choreo.OnEffect(name, call[F]{}).GivesUp(time.Hour, never[F]).Within(time.Minute)
}

func final(f choreo.Fact) choreo.Line  { return choreo.Final(f, choreo.Completed) }
func failed(f choreo.Fact) choreo.Line { return choreo.Final(f, choreo.Failed) }
func undone(f choreo.Fact) choreo.Line { return choreo.Final(f, choreo.Undone) }
func owed(f choreo.Fact) choreo.Line   { return choreo.Final(f, choreo.Owed) }

func ask() *choreo.CommandLine { return choreo.Command("ask").Emits(Asked{}) }
