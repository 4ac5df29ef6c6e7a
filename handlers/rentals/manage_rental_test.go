package rentals_test

import (
	"errors"
	"strings"
	"testing"

	"troupe/choreo"
	"troupe/choreo/choreotest"
	"troupe/domain/process"
	"troupe/events"
	"troupe/handlers/rentals"
)

// stream is what stands in the stream of a rental, an entry a line.
func stream(t *testing.T, s *choreotest.Stage, id string) (all []string) {
	t.Helper()
	rows, err := s.DB.Pool().Query(`select position, kind || ' ' || name || case when reason = '' then '' else ': ' || reason end
		from rental_process where rental_id = $1 order by position, kind`, id)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	last := 0
	for rows.Next() {
		var position int
		var entry string
		if err := rows.Scan(&position, &entry); err != nil {
			t.Fatal(err)
		}
		if position != last && position != last+1 {
			t.Errorf("position %d follows %d", position, last)
		}
		last = position
		all = append(all, strings.TrimSpace(entry))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func streamIs(t *testing.T, s *choreotest.Stage, id string, want ...string) {
	t.Helper()
	if got := stream(t, s, id); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the stream is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestManageRental(t *testing.T) {
	t.Parallel()
	i := open(t, events.ModeManager)
	r := i.rent("tok_visa")
	started := events.ManagedRentalRequested{RentalRequested: requested(r)}

	// Nothing is managed before it is started.
	i.When("manage-rental", events.ManagedRoomOccupied{RoomOccupied: events.RoomOccupied{RentalID: r.id}}, r.saga).Emits()
	streamIs(t, i.Stage, r.id)

	var charge events.ChargeRental
	first := i.When("manage-rental", started, r.saga)
	first.Read(&charge)
	if charge.RentalID != r.id || charge.CommandID == "" {
		t.Errorf("commanded %+v", charge)
	}
	i.When("manage-rental", started, r.saga).Emits() // a copy
	i.When("confirm-publishing", charge, r.saga).Emits()
	i.When("confirm-publishing", charge, r.saga).Emits()
	i.When("confirm-publishing", events.OccupyRoom{RentalCommand: events.RentalCommand{RentalID: r.id, CommandID: "forged"}}, r.saga).Emits()
	streamIs(t, i.Stage, r.id, "Started", "Received RentalRequested", "CommandIssued ChargeRental", "PublishingConfirmed ChargeRental")

	declined := events.ManagedRentalChargeFailed{RentalChargeFailed: events.RentalChargeFailed{RentalID: r.id, Reason: "x"}}
	i.When("manage-rental", declined, "another saga").Emits()
	var withdraw events.WithdrawRental
	answer := i.When("manage-rental", declined, r.saga)
	answer.Read(&withdraw)
	i.Again(answer)
	streamIs(t, i.Stage, r.id, "Started", "Received RentalRequested", "CommandIssued ChargeRental", "PublishingConfirmed ChargeRental",
		"Received RentalChargeFailed", "CommandIssued WithdrawRental")
	if withdraw.CommandID == charge.CommandID {
		t.Error("two commands have one id")
	}
}

// Validation refuses commands: a forward one has the manager undo, an undo parks
// it. What was refused is not published.
func TestManageRentalWhoseCommandsAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		refused []string
		emits   string
		stream  []string
	}{
		"a forward command": {[]string{"OccupyRoom"}, "rentals-commands.RefundRental.v1", []string{
			"Received RentalCharged", "CommandIssued OccupyRoom", "PublishingRejected OccupyRoom: not today", "CommandIssued RefundRental"}},
		"and an undo": {[]string{"OccupyRoom", "RefundRental"}, "", []string{
			"Received RentalCharged", "CommandIssued OccupyRoom", "PublishingRejected OccupyRoom: not today",
			"CommandIssued RefundRental", "PublishingRejected RefundRental: not today"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			valid := func(f choreo.Fact) error {
				for _, name := range c.refused {
					if strings.Contains(f.FactType(), name) {
						return errors.New("not today")
					}
				}
				return process.Whole(f)
			}
			flow, err := choreo.NewFlow(
				choreo.On("manage-rental", rentals.StartManaging(valid)).Emits(events.ChargeRental{}),
				choreo.On("manage-rental", rentals.ManageRental[events.ManagedRentalCharged](valid)).
					Emits(events.OccupyRoom{}, events.RefundRental{}),
				choreo.On("manage-rental", rentals.ManageRental[events.ManagedRentalRefunded](valid)).Emits(events.WithdrawRental{}),
			)
			if err != nil {
				t.Fatal(err)
			}
			s := choreotest.New(t, flow, migrate)
			s.When("manage-rental", events.ManagedRentalRequested{RentalRequested: requested(rented{id: "r", account: "a"})}, "saga")
			charged := events.ManagedRentalCharged{RentalCharged: events.RentalCharged{RentalID: "r", PaymentID: "p", Amount: price}}
			r := s.When("manage-rental", charged, "saga")
			if c.emits == "" {
				r.Emits()
			} else {
				var f events.RefundRental
				r.Read(&f)
			}
			streamIs(t, s, "r", append([]string{"Started", "Received RentalRequested", "CommandIssued ChargeRental"}, c.stream...)...)
			if c.emits == "" { // parked: it notes what comes, and decides nothing more
				refunded := events.ManagedRentalRefunded{RentalRefunded: events.RentalRefunded{RentalID: "r"}}
				s.When("manage-rental", refunded, "saga").Emits()
			}
		})
	}
}

// A command that is not whole is refused by the validation of the real flow.
func TestWholeCommands(t *testing.T) {
	t.Parallel()
	for id, whole := range map[string]bool{"r": true, "": false, strings.Repeat("x", 256): false} {
		err := process.Whole(events.OccupyRoom{RentalCommand: events.RentalCommand{RentalID: id, CommandID: "c"}})
		if (err == nil) != whole {
			t.Errorf("%.5q: %v", id, err)
		}
	}
}
