package check_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"troupe/choreo"
	"troupe/choreo/check"
)

type brokenFlow struct {
	rule  int
	says  string // in What
	cure  string // in Cure
	lines []choreo.Line
	o     check.Options
}

// room is a saga of one effect that is undone when it fails, sound as it is.
func room(rest ...choreo.Line) []choreo.Line {
	return append([]choreo.Line{ask(),
		effect[Asked]("book-room").Emits(RoomBooked{}).FailsWith(RoomRefused{}),
		effect[RoomRefused]("free-room").Undoes("book-room").Emits(RoomFree{}).FailsWith(ReleaseFailed{}),
		final(RoomBooked{}), owed(ReleaseFailed{}),
	}, rest...)
}

// turns are two effects in turn and a third step that can fail, without undos.
func turns(rest ...choreo.Line) []choreo.Line {
	return append([]choreo.Line{choreo.Command("ask").Emits(Asked{}).Keeps("it is a wish"),
		effect[Asked]("book-flight").Emits(FlightBooked{}).FailsWith(FlightRefused{}),
		effect[FlightBooked]("book-room").Emits(RoomBooked{}).FailsWith(RoomRefused{}),
		on[RoomBooked]("insure").Emits(Insured{}).FailsWith(NotInsured{}),
		final(Insured{}), failed(FlightRefused{}), failed(RoomRefused{}),
	}, rest...)
}

var broken = map[string]brokenFlow{
	// ── 1: ends ──────────────────────────────────────────────────────────────
	"a fact that nobody handles": {rule: 1, says: "RoomBooked.v1 is emitted, and is neither handled nor final", cure: "choreo.Final(events.RoomBooked{}, choreo.Completed)",
		lines: []choreo.Line{ask(), on[Asked]("book-room").Emits(RoomBooked{})}},
	"a path that ends in bookkeeping": {rule: 1, says: "a path ends with trips.RoomBooked.v1",
		lines: []choreo.Line{ask(), on[Asked]("book-room").Emits(RoomBooked{}), on[RoomBooked]("count")}},
	"a path that ends in a view": {rule: 1, says: "a path ends with trips.Asked.v1",
		lines: []choreo.Line{ask(), on[Asked]("list").View().Within(0)}},
	"a fact that nobody emits": {rule: 1, says: "RoomBooked.v1 is handled, and nobody emits it", cure: "choreo.Foreign(events.RoomBooked{})",
		lines: []choreo.Line{ask(), final(Asked{}), on[RoomBooked]("insure").Emits(Insured{}), final(Insured{})}},
	"an end that never comes": {rule: 1, says: "RoomBooked.v1 is final, and nobody emits it",
		lines: []choreo.Line{ask(), final(Asked{}), final(RoomBooked{})}},
	"a domain fact that nobody handles": {rule: 1, says: "Draft.v1 is a domain fact", cure: "InTransaction()",
		lines: []choreo.Line{ask(), final(Asked{}), choreo.Domain(Draft{}), choreo.Command("sketch").Emits(Draft{})}},

	// ── 2: undone ────────────────────────────────────────────────────────────
	"a command that stands though its step failed": {rule: 2, says: "ask is not undone when book-room fails", cure: `.Undoes("ask")`,
		lines: room(undone(RoomFree{}))},
	"a failed effect that may have happened": {rule: 2, says: "book-room is not undone when book-room fails", cure: `.Undoes("book-room")`,
		lines: []choreo.Line{ask(), effect[Asked]("book-room").Emits(RoomBooked{}).FailsWith(RoomRefused{}),
			withdraw[RoomRefused](), final(RoomBooked{}), undone(Withdrawn{})}},
	"a step beside the failed one": {rule: 2, says: "book-flight is not undone when book-room fails",
		lines: []choreo.Line{ask(), on[Asked]("book-flight").Emits(FlightBooked{}), on[Asked]("book-room").Emits(RoomBooked{}).FailsWith(RoomRefused{}),
			withdraw[RoomRefused](), final(RoomBooked{}), final(FlightBooked{}), undone(Withdrawn{})}},
	"one of two outcomes of an undo leads nowhere": {rule: 2, says: "ask is not undone when book-room fails", cure: "withdraw",
		lines: []choreo.Line{ask(), effect[Asked]("book-room").Emits(RoomBooked{}).FailsWith(RoomRefused{}),
			on[RoomRefused]("free-room").Undoes("book-room").Emits(RoomFree{}, InsuranceOver{}),
			withdraw[RoomFree](), final(RoomBooked{}), undone(Withdrawn{}), undone(InsuranceOver{})}},
	"one line undoes, the other does not": {rule: 2, says: "withdraw undoes ask on trips.FlightRefused.v1, but not on trips.RoomRefused.v1", cure: `.Undoes("ask")`,
		lines: []choreo.Line{choreo.Command("ask").Emits(Asked{}).Keeps("it is a wish"),
			on[Asked]("book-flight").Emits(FlightBooked{}).FailsWith(FlightRefused{}),
			on[FlightBooked]("book-room").Emits(RoomBooked{}).FailsWith(RoomRefused{}).Keeps("an empty room"),
			withdraw[FlightRefused](), on[RoomRefused]("withdraw").Emits(Withdrawn{}).Keeps("it says no"),
			on[RoomRefused]("free-flight").Undoes("book-flight").Emits(FlightFree{}),
			final(RoomBooked{}), undone(Withdrawn{}), undone(FlightFree{})}},
	"a command cancels, and a step stays": {rule: 2, says: "book-room is not undone when the command cancel cancels", cure: ".Cancels",
		lines: []choreo.Line{ask(), choreo.Command("cancel").Emits(Canceled{}).Cancels("ask"),
			on[Asked]("book-room").Emits(RoomBooked{}), final(RoomBooked{}), undone(Canceled{})}},
	"a command says it cancels an effect, and nobody does": {rule: 2, says: "book-room is not undone when the command cancel cancels",
		lines: []choreo.Line{ask(), choreo.Command("cancel").Emits(Canceled{}).Cancels("ask", "book-room"),
			effect[Asked]("book-room").Emits(RoomBooked{}).FailsWith(RoomRefused{}), failed(RoomRefused{}),
			final(RoomBooked{}), undone(Canceled{})}},
	"an undo of what the saga never does": {rule: 2, says: "free-flight undoes book-flight, which no saga has",
		lines: []choreo.Line{ask(), on[Asked]("book-room").Emits(RoomBooked{}).FailsWith(RoomRefused{}),
			withdraw[RoomRefused](), on[RoomRefused]("free-flight").Undoes("book-flight").Emits(FlightFree{}),
			choreo.Command("fly").Emits(Canceled{}), on[Canceled]("book-flight").Emits(FlightBooked{}),
			final(RoomBooked{}), final(FlightBooked{}), undone(FlightFree{}), undone(Withdrawn{})}},

	// ── 3: order ─────────────────────────────────────────────────────────────
	"effects undone side by side that were done in turn": {rule: 3, says: "free-flight can undo book-flight before free-room has undone book-room", cure: "let free-flight react to what comes of free-room",
		lines: turns(
			effect[NotInsured]("free-room").Undoes("book-room").Emits(RoomFree{}).FailsWith(ReleaseFailed{}),
			effect[NotInsured]("free-flight").Undoes("book-flight").Emits(FlightFree{}).FailsWith(Withdrawn{}),
			undone(RoomFree{}), undone(FlightFree{}), owed(ReleaseFailed{}), owed(Withdrawn{}))},
	"effects undone in the order in which they were done": {rule: 3, says: "free-flight can undo book-flight before",
		lines: turns(
			effect[NotInsured]("free-flight").Undoes("book-flight").Emits(FlightFree{}).FailsWith(Withdrawn{}),
			effect[FlightFree]("free-room").Undoes("book-room").Emits(RoomFree{}).FailsWith(ReleaseFailed{}),
			effect[Withdrawn]("free-room").Undoes("book-room").Emits(RoomFree{}).FailsWith(ReleaseFailed{}),
			undone(RoomFree{}), owed(ReleaseFailed{}), owed(Withdrawn{}))},
	"an undo whose failure is not owed": {rule: 3, says: "the undo free-room may fail with trips.ReleaseFailed.v1, which is not marked as owed", cure: "choreo.Final(events.ReleaseFailed{}, choreo.Owed)",
		lines: []choreo.Line{ask(), effect[Asked]("book-room").Emits(RoomBooked{}).FailsWith(RoomRefused{}),
			effect[RoomRefused]("free-room").Undoes("book-room").Emits(RoomFree{}).FailsWith(ReleaseFailed{}),
			withdraw[RoomRefused](), final(RoomBooked{}), undone(RoomFree{}), undone(Withdrawn{}), failed(ReleaseFailed{})}},
	"an undo whose failure stops the others": {rule: 3, says: "ask is not undone when an undo before it fails", cure: "trips.ReleaseFailed.v1",
		lines: room(withdraw[RoomFree](), undone(Withdrawn{}))},

	// ── 4: the point of no return ────────────────────────────────────────────
	"a failure after what cannot be undone": {rule: 4, says: "insure cannot be undone, and book-room may fail", cure: "let insure react",
		lines: []choreo.Line{ask(), on[Asked]("insure").Emits(Insured{}).Irreversible("it is paid"),
			on[Insured]("book-room").Emits(RoomBooked{}).FailsWith(RoomRefused{}),
			withdraw[RoomRefused](), final(RoomBooked{}), undone(Withdrawn{})}},
	"a failure beside what cannot be undone": {rule: 4, says: "insure cannot be undone, and book-room may fail",
		lines: []choreo.Line{ask(), on[Asked]("insure").Emits(Insured{}).Irreversible("it is paid"), final(Insured{}),
			on[Asked]("book-room").Emits(RoomBooked{}).FailsWith(RoomRefused{}),
			withdraw[RoomRefused](), final(RoomBooked{}), undone(Withdrawn{})}},
	"a failure of what was joined too early": {rule: 4, says: "insure cannot be undone, and pay may fail",
		lines: []choreo.Line{ask(), on[Asked]("book-flight").Emits(FlightBooked{}).Keeps("x"), on[Asked]("book-room").Emits(RoomBooked{}).Keeps("x"),
			on[FlightBooked]("insure").Joins().Emits(Insured{}).Irreversible("it is paid"),
			on[RoomBooked]("insure").Joins().Emits(Insured{}).Irreversible("it is paid"),
			on[Insured]("pay").Emits(Canceled{}).FailsWith(NotInsured{}), withdraw[NotInsured](),
			final(Canceled{}), undone(Withdrawn{})}},

	// ── 5: bounds ────────────────────────────────────────────────────────────
	"two reactions that wake each other": {rule: 5, says: "nothing ends the cycle", cure: ".Except(5",
		lines: []choreo.Line{ask(), on[Asked]("book-room").Emits(RoomBooked{}), on[RoomBooked]("book-flight").Emits(Asked{})}},
	"an effect that never gives up": {rule: 5, says: "the effect book-room never gives up", cure: ".GivesUp(",
		lines: []choreo.Line{ask(), effect[Asked]("book-room").GivesUp(0, nil).Emits(RoomBooked{}).FailsWith(RoomRefused{}), final(RoomBooked{}), failed(RoomRefused{})}},
	"an effect that cannot say it failed": {rule: 5, says: "has no fact for its failure", cure: ".FailsWith(",
		lines: []choreo.Line{ask(), effect[Asked]("book-room").Emits(RoomBooked{}), final(RoomBooked{})}},
	"a reaction without a time": {rule: 5, says: "nothing says by when book-room on trips.Asked.v1 is expected", cure: ".Within(",
		lines: []choreo.Line{ask(), on[Asked]("book-room").Within(0).Emits(RoomBooked{}), final(RoomBooked{})}},
	"a fact without a schema": {rule: 5, says: "trips.Asked.v1 has no schema", cure: "troupe flow generate",
		lines: []choreo.Line{ask(), final(Asked{})}, o: check.Options{Schema: func(string) bool { return false }}},
	"a fact that does not read its older version": {rule: 5, says: "trips.Moved.v3 cannot read version 1 of itself", cure: "events.Moved.Upcasts",
		lines: []choreo.Line{choreo.Command("move").Emits(moved{}), final(moved{})},
		o:     check.Options{Versions: func(string) []int { return []int{1, 2, 3} }}},
	"an exception that excuses nothing": {rule: 5, says: "has an exception that excuses nothing", cure: "remove .Except(5",
		lines: []choreo.Line{ask(), on[Asked]("book-room").Emits(RoomBooked{}).Except(5, "it was so once"), final(RoomBooked{})}},
	"an exception without a reason": {rule: 5, says: "has an exception without a reason", cure: ".Except(5",
		lines: []choreo.Line{ask().Except(5, ""), final(Asked{})}},
}

// moved reads its second version, and not its first.
type moved struct{}

func (moved) FactType() string { return "trips.Moved.v3" }
func (moved) Key() string      { return "k" }
func (moved) Upcasts() map[int]func([]byte) ([]byte, error) {
	return map[int]func([]byte) ([]byte, error){2: func(data []byte) ([]byte, error) { return data, nil }}
}

func TestEachBrokenFlowFailsForItsRuleAlone(t *testing.T) {
	perRule := map[int]int{}
	for name, b := range broken {
		perRule[b.rule]++
		t.Run(name, func(t *testing.T) {
			found := findings(t, b.lines, b.o)
			for _, f := range found {
				if f.Rule != b.rule || len(f.Path) == 0 || f.Cure == "" {
					t.Errorf("also found, or without path and cure: %v", f)
				}
			}
			if !slices.ContainsFunc(found, func(f check.Finding) bool {
				return strings.Contains(f.What, b.says) && strings.Contains(f.Cure, b.cure)
			}) {
				t.Errorf("not found: %q with the cure %q, but %v", b.says, b.cure, found)
			}
		})
	}
	for rule := 1; rule <= 5; rule++ {
		if perRule[rule] < 3 {
			t.Errorf("rule %d has only %d broken flows", rule, perRule[rule])
		}
	}
}

// An exception with a reason excuses its finding, and stands in the report.
func TestExceptionsExcuseAndAreReported(t *testing.T) {
	flow, err := choreo.NewFlow(ask(),
		on[Asked]("book-room").Emits(RoomBooked{}).FailsWith(RoomRefused{}).Except(2, "a wish may stand"),
		on[RoomRefused]("tell").Emits(Withdrawn{}).Within(time.Second),
		final(RoomBooked{}), undone(Withdrawn{}))
	if err != nil {
		t.Fatal(err)
	}
	r := check.Flow(flow, check.Options{})
	if len(r.Findings) != 0 || len(r.Excused) != 1 || r.Excused[0].Reason != "a wish may stand" {
		t.Errorf("the report is %+v", r)
	}
}
