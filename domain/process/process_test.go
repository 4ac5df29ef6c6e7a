package process

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// play has a manager receive events, and gives the commands that it issues; a
// command with an exclamation mark is rejected.
func play(events string, rejected ...string) (issued string, s State) {
	var entries []Entry
	add := func(e Entry) { entries = append(entries, e); s = s.Apply(e) }
	add(Entry{Kind: Started})
	var commands []string
	for event := range strings.FieldsSeq(events) {
		add(Entry{Kind: Received, Name: event})
		for due := s.Due(); due != ""; due = s.Due() {
			add(Entry{Kind: CommandIssued, Name: due})
			if slices.Contains(rejected, due) {
				due += "!"
				add(Entry{Kind: PublishingRejected})
			} else {
				add(Entry{Kind: PublishingConfirmed})
			}
			commands = append(commands, due)
		}
	}
	if s != Fold(entries) {
		panic("the fold of the stream is not the state")
	}
	return strings.Join(commands, " "), s
}

func TestDecisions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		events, rejected, commands string
		phase                      Phase
	}{
		"it stands": {"RentalRequested RentalCharged RoomOccupied RentalCompleted GuestTexted", "",
			"ChargeRental OccupyRoom CompleteRental TextGuest", Completed},
		"the guest is not told": {"RentalRequested RentalCharged RoomOccupied RentalCompleted GuestTextFailed", "",
			"ChargeRental OccupyRoom CompleteRental TextGuest", Completed},
		"declined": {"RentalRequested RentalChargeFailed RentalWithdrawn", "", "ChargeRental WithdrawRental", Ended},
		"unknown": {"RentalRequested RentalChargeUnknown RentalRefunded RentalWithdrawn", "",
			"ChargeRental RefundRental WithdrawRental", Ended},
		"taken": {"RentalRequested RentalCharged RoomOccupationFailed RentalRefunded RentalWithdrawn", "",
			"ChargeRental OccupyRoom RefundRental WithdrawRental", Ended},
		"withdrawn": {"RentalRequested RentalWithdrawalRequested RentalCharged RoomOccupationFailed RentalRefunded RentalWithdrawn", "",
			"ChargeRental OccupyRoom RefundRental WithdrawRental", Ended},
		"not completed": {"RentalRequested RentalCharged RoomOccupied RentalCompletionFailed RoomReleased RentalRefunded RentalWithdrawn", "",
			"ChargeRental OccupyRoom CompleteRental ReleaseRoom RefundRental WithdrawRental", Ended},
		"canceled": {"RentalRequested RentalCharged RoomOccupied RentalCompleted RentalCanceled GuestTexted RoomReleased RentalRefunded RentalWithdrawn", "",
			"ChargeRental OccupyRoom CompleteRental TextGuest ReleaseRoom RefundRental WithdrawRental", Ended},
		"owed": {"RentalRequested RentalChargeUnknown RentalRefundFailed", "", "ChargeRental RefundRental FlagRentalRefund", Flagging},
		"owed, and redone": {"RentalRequested RentalChargeUnknown RentalRefundFailed RentalRefunded RentalWithdrawn", "",
			"ChargeRental RefundRental FlagRentalRefund WithdrawRental", Ended},
		"out of turn": {"RentalRequested RoomReleased RentalCompleted RentalRequested", "", "ChargeRental", Charging},

		"charging is rejected":   {"RentalRequested", "ChargeRental", "ChargeRental! WithdrawRental", Withdrawing},
		"occupying is rejected":  {"RentalRequested RentalCharged", "OccupyRoom", "ChargeRental OccupyRoom! RefundRental", Refunding},
		"completing is rejected": {"RentalRequested RentalCharged RoomOccupied", "CompleteRental", "ChargeRental OccupyRoom CompleteRental! ReleaseRoom", Releasing},
		"texting is rejected": {"RentalRequested RentalCharged RoomOccupied RentalCompleted RentalCanceled", "TextGuest",
			"ChargeRental OccupyRoom CompleteRental TextGuest! ReleaseRoom", Releasing},
		"releasing is rejected": {"RentalRequested RentalCharged RoomOccupied RentalCompletionFailed RoomReleased", "ReleaseRoom",
			"ChargeRental OccupyRoom CompleteRental ReleaseRoom!", Parked},
		"refunding is rejected": {"RentalRequested RentalChargeUnknown RentalRefunded", "RefundRental", "ChargeRental RefundRental!", Parked},
		"flagging is rejected": {"RentalRequested RentalChargeUnknown RentalRefundFailed RentalRefunded", "FlagRentalRefund",
			"ChargeRental RefundRental FlagRentalRefund!", Parked},
		"withdrawing is rejected": {"RentalRequested RentalChargeFailed RentalWithdrawn", "WithdrawRental", "ChargeRental WithdrawRental!", Parked},
		"everything is rejected":  {"RentalRequested", "ChargeRental WithdrawRental", "ChargeRental! WithdrawRental!", Parked},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			commands, s := play(c.events, strings.Fields(c.rejected)...)
			if commands != c.commands || s.Phase != c.phase {
				t.Errorf("it commands %s, and is %s; want %s, %s", commands, s.Phase, c.commands, c.phase)
			}
		})
	}
}

// Whatever comes, in whatever order and how often: nothing forward is commanded
// once anything was undone, no command is issued twice, and what is over stays.
func TestAnUndoIsNeverUndone(t *testing.T) {
	t.Parallel()
	var events, commands []string
	for _, s := range steps {
		commands = append(commands, s.command)
		for event := range s.answers {
			events = append(events, event)
		}
	}
	events = append(events, "RentalRequested", "RentalWithdrawalRequested", "GuestTexted", "GuestTextFailed")
	slices.Sort(events)
	slices.Sort(commands)
	forward := []string{"ChargeRental", "OccupyRoom", "CompleteRental", "TextGuest"}
	rapid.Check(t, func(t *rapid.T) {
		said := strings.Join(rapid.SliceOf(rapid.SampledFrom(events)).Draw(t, "events"), " ")
		rejected := rapid.SliceOf(rapid.SampledFrom(commands)).Draw(t, "rejected")
		issued, s := play(said, rejected...)
		undoing := false
		seen := map[string]bool{}
		for c := range strings.FieldsSeq(issued) {
			c, refused := strings.CutSuffix(c, "!")
			isForward := slices.Contains(forward, c)
			if undoing && isForward {
				t.Errorf("%s is commanded after an undo: %s", c, issued)
			}
			if seen[c] {
				t.Errorf("%s is commanded twice: %s", c, issued)
			}
			seen[c] = true
			if undoing = undoing || !isForward; refused && !isForward && s.Phase != Parked {
				t.Errorf("an undo was refused, and the manager is %s", s.Phase)
			}
		}
	})
}
