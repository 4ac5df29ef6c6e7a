package check_test

import (
	"testing"
	"time"

	"troupe/choreo"
	"troupe/choreo/check"
)

// withdraw undoes the command on the failure F.
func withdraw[F choreo.Fact]() *choreo.Reaction[F] {
	return on[F]("withdraw").Undoes("ask").Emits(Withdrawn{})
}

var sound = map[string][]choreo.Line{
	"a command alone": {ask(), final(Asked{})},
	"a step that cannot fail": {ask(),
		on[Asked]("book-room").Emits(RoomBooked{}), final(RoomBooked{})},
	"a view and a bookkeeper beside a final fact": {ask(), final(Asked{}),
		on[Asked]("list").View().Within(0), on[Asked]("count")},
	"a failure that nobody minds": {ask(),
		effect[Asked]("insure").Emits(Insured{}).FailsWith(NotInsured{}).Irreversible("it is paid"),
		final(Insured{}), failed(NotInsured{})},
	"a step, and a cure for its failure": {ask(),
		on[Asked]("book-room").Emits(RoomBooked{}).FailsWith(RoomRefused{}),
		withdraw[RoomRefused](), final(RoomBooked{}), undone(Withdrawn{})},
	"effects in turn, undone in reverse": {ask(),
		effect[Asked]("book-flight").Emits(FlightBooked{}).FailsWith(FlightRefused{}),
		effect[FlightBooked]("book-room").Emits(RoomBooked{}).FailsWith(RoomRefused{}),
		on[RoomBooked]("insure").Emits(Insured{}).FailsWith(NotInsured{}),
		effect[NotInsured]("free-room").Undoes("book-room").Emits(RoomFree{}).FailsWith(ReleaseFailed{}),
		effect[RoomRefused]("free-room").Undoes("book-room").Emits(RoomFree{}).FailsWith(ReleaseFailed{}),
		effect[RoomFree]("free-flight").Undoes("book-flight").Emits(FlightFree{}).FailsWith(Withdrawn{}),
		effect[ReleaseFailed]("free-flight").Undoes("book-flight").Emits(FlightFree{}).FailsWith(Withdrawn{}),
		effect[FlightRefused]("free-flight").Undoes("book-flight").Emits(FlightFree{}).FailsWith(Withdrawn{}),
		on[FlightFree]("withdraw").Undoes("ask").Emits(Canceled{}),
		on[Withdrawn]("withdraw").Undoes("ask").Emits(Canceled{}),
		final(Insured{}), owed(ReleaseFailed{}), owed(Withdrawn{}), undone(Canceled{})},
	"two steps side by side, each undone by the other's failure": {ask(),
		on[Asked]("book-flight").Emits(FlightBooked{}).FailsWith(FlightRefused{}),
		on[Asked]("book-room").Emits(RoomBooked{}).FailsWith(RoomRefused{}),
		on[FlightRefused]("free-room").Undoes("book-room").Emits(RoomFree{}),
		on[RoomRefused]("withdraw").Undoes("ask", "book-flight").Emits(Withdrawn{}),
		on[RoomFree]("withdraw").Undoes("ask", "book-flight").Emits(Withdrawn{}),
		on[FlightBooked]("insure").Joins().Emits(Insured{}).Irreversible("it is paid"),
		on[RoomBooked]("insure").Joins().Emits(Insured{}).Irreversible("it is paid"),
		final(Insured{}), undone(Withdrawn{})},
	"a command that cancels, and takes back its own": {ask(),
		choreo.Command("cancel").Emits(Canceled{}).Cancels("ask", "book-room", "insure"),
		effect[Asked]("book-room").Emits(RoomBooked{}).FailsWith(RoomRefused{}),
		on[RoomBooked]("insure").Emits(Insured{}),
		withdraw[RoomFree](),
		effect[RoomRefused]("free-room").Undoes("book-room").Emits(RoomFree{}).FailsWith(ReleaseFailed{}),
		effect[Canceled]("free-room").Undoes("book-room").Emits(RoomFree{}).FailsWith(ReleaseFailed{}),
		withdraw[ReleaseFailed](),
		final(Insured{}), undone(Withdrawn{}), undone(Canceled{}), owed(ReleaseFailed{})},
	"a pivot between what can be undone and what cannot": {ask(),
		effect[Asked]("book-flight").Emits(FlightBooked{}).FailsWith(FlightRefused{}).Keeps("it costs nothing until it is paid"),
		effect[FlightBooked]("book-room").Emits(RoomBooked{}).FailsWith(RoomRefused{}).Irreversible("it is paid"),
		withdraw[FlightRefused](), withdraw[RoomRefused](),
		final(RoomBooked{}), undone(Withdrawn{})},
	"a domain fact, handled in its transaction": {
		choreo.Domain(Draft{}), choreo.Command("ask").Emits(Draft{}),
		on[Draft]("find-traveler").InTransaction().Within(0).Emits(Asked{}).FailsWith(FlightRefused{}).Keeps("a traveler may stand alone"),
		on[Asked]("book-room").Emits(RoomBooked{}).FailsWith(RoomRefused{}), withdraw[RoomRefused](),
		final(RoomBooked{}), undone(Withdrawn{})},
	"what comes from outside": {choreo.Foreign(Asked{}),
		on[Asked]("book-room").Emits(RoomBooked{}).FailsWith(RoomRefused{}), final(RoomBooked{}), failed(RoomRefused{})},
	"a cycle that its handler ends, and says so": {ask(),
		on[Asked]("remind").After(time.Hour).Emits(Asked{}, RoomBooked{}).Except(5, "it counts to three"),
		final(RoomBooked{})},
	"another way after a failure": {ask(),
		on[Asked]("book-room").Emits(RoomBooked{}, RoomRefused{}),
		on[RoomRefused]("book-flight").Emits(FlightBooked{}).FailsWith(FlightRefused{}),
		on[FlightRefused]("withdraw").Undoes("ask", "book-room").Emits(Withdrawn{}),
		final(RoomBooked{}), final(FlightBooked{}), undone(Withdrawn{})},
}

func TestSoundFlowsHaveNoFinding(t *testing.T) {
	if len(sound) < 10 {
		t.Fatalf("only %d sound flows", len(sound))
	}
	for name, lines := range sound {
		t.Run(name, func(t *testing.T) {
			for _, f := range findings(t, lines, check.Options{}) {
				t.Error(f)
			}
		})
	}
}

func findings(t *testing.T, lines []choreo.Line, o check.Options) []check.Finding {
	t.Helper()
	flow, err := choreo.NewFlow(lines...)
	if err != nil {
		t.Fatal(err)
	}
	return check.Flow(flow, o).Findings
}
