package rentals_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"troupe/choreo"
	"troupe/choreo/choreotest"
	"troupe/domain"
	"troupe/domain/account"
	"troupe/domain/buyer"
	"troupe/domain/rental"
	"troupe/events"
	"troupe/handlers"
	provider "troupe/providers/payment"
	"troupe/providers/sms"
	"troupe/sandbox/sandboxtest"
)

var (
	cardKey = bytes.Repeat([]byte{7}, 32)
	price   = events.Money{Amount: 27000, Currency: "EUR"} // three nights
	none    = events.Money{Currency: "EUR"}
)

var modes = []string{events.ModeChoreography, events.ModeManager}

// inBoth runs a test for rentals of each mode.
func inBoth(t *testing.T, test func(t *testing.T, mode string)) {
	t.Helper()
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			test(t, mode)
		})
	}
}

// inn is the real flow over a database of the test's own, with a sandbox that
// takes its money and its messages.
type inn struct {
	*choreotest.Stage
	t       testing.TB
	sandbox *sandboxtest.Sandbox
	mode    string
	day     int // of the next rental, so that none meets another
}

func migrate(ctx context.Context, pool *sql.DB) error {
	if err := domain.Migrate(ctx, pool); err != nil {
		return err
	}
	night := events.Money{Amount: 9000, Currency: "EUR"}
	return rental.PutRooms(ctx, pool, []rental.Room{{ID: "room-1", Price: night}, {ID: "room-2", Price: night}})
}

func open(t testing.TB, mode string, change ...func(*handlers.Outside)) *inn {
	t.Helper()
	i := &inn{t: t, sandbox: sandboxtest.Start(t), mode: mode}
	payments, err := provider.NewStripe(i.sandbox.PaymentURL(), sandboxtest.PaymentKey)
	if err != nil {
		t.Fatal(err)
	}
	gateway, err := sms.NewHTTP(i.sandbox.SMSURL())
	if err != nil {
		t.Fatal(err)
	}
	out := handlers.Outside{Payments: payments, SMS: gateway, TokenKey: []byte("token key"), CardKey: cardKey}
	for _, c := range change {
		c(&out)
	}
	flow, err := handlers.Flow(out)
	if err != nil {
		t.Fatal(err)
	}
	i.Stage = choreotest.New(t, flow, migrate)
	return i
}

// rented is a rental, and the saga that it is in.
type rented struct{ id, saga, account string }

// day is a day in the future.
func day(n int) string { return time.Now().UTC().AddDate(0, 0, 10+n).Format(time.DateOnly) }

// rent asks for room-1, for three nights that nobody else asked for.
func (i *inn) rent(card string) rented {
	i.t.Helper()
	i.day += 3
	return i.rentFor(i.mode, card, "+4915112345678", i.day-3)
}

func (i *inn) rentFor(mode, card, phone string, from int) (r rented) {
	i.t.Helper()
	i.Given("sign-up", func(ctx context.Context, tx *choreo.Tx) error {
		a, err := account.SignUp(ctx, tx, account.Person{Email: tx.NewID() + "@example.com", Name: "Ana"}, []byte("hash"))
		if err == nil {
			r.account = a.ID
		}
		return err
	})
	receipt := i.Given("request-rental", func(ctx context.Context, tx *choreo.Tx) error {
		made, err := rental.Request(ctx, tx, rental.Wish{
			AccountID: r.account, RoomID: "room-1", From: day(from), To: day(from + 3), Phone: phone, Mode: mode,
		})
		if err != nil {
			return err
		}
		if made.PaymentMethodID, err = buyer.PaymentMethod(ctx, tx, cardKey, r.account, card); err != nil {
			return err
		}
		r.id = made.ID
		return made.Save(ctx, tx)
	})
	r.saga = receipt.Saga
	return r
}

// end has the guest give the rental up, as DELETE does.
func (i *inn) end(r rented) error {
	err := i.change("request-withdrawal", r, func(r *rental.Rental) error { return r.Withdraw(day(-10)) })
	if errors.Is(err, rental.ErrCompleted) {
		err = i.change("cancel-rental", r, func(r *rental.Rental) error { return r.Cancel(day(-10)) })
	}
	return err
}

func (i *inn) change(command string, r rented, change func(*rental.Rental) error) error {
	_, err := choreo.Commit(i.t.Context(), i.DB, command, func(ctx context.Context, tx *choreo.Tx) error {
		found, _, err := rental.Load(ctx, tx, r.id)
		if err != nil {
			return err
		}
		tx.JoinSaga(found.Saga)
		if err := change(found); err != nil {
			return err
		}
		return found.Save(ctx, tx)
	})
	return err
}

// mustEnd is end where it must be possible.
func (i *inn) mustEnd(r rented) {
	i.t.Helper()
	if err := i.end(r); err != nil {
		i.t.Fatal(err)
	}
}

// step has a consumer do its part of a rental: on the fact, or when commanded,
// as the mode has it.
func (i *inn) step(consumer string, r rented, because choreo.Fact) *choreotest.Result {
	i.t.Helper()
	if i.mode == events.ModeManager {
		because = commanded[consumer](events.RentalCommand{RentalID: r.id, CommandID: "c-" + r.id})
	}
	return i.When(consumer, because, r.saga)
}

var commanded = map[string]func(events.RentalCommand) choreo.Fact{
	"charge-rental":      func(c events.RentalCommand) choreo.Fact { return events.ChargeRental{RentalCommand: c} },
	"occupy-room":        func(c events.RentalCommand) choreo.Fact { return events.OccupyRoom{RentalCommand: c} },
	"complete-rental":    func(c events.RentalCommand) choreo.Fact { return events.CompleteRental{RentalCommand: c} },
	"text-guest":         func(c events.RentalCommand) choreo.Fact { return events.TextGuest{RentalCommand: c} },
	"release-room":       func(c events.RentalCommand) choreo.Fact { return events.ReleaseRoom{RentalCommand: c} },
	"refund-rental":      func(c events.RentalCommand) choreo.Fact { return events.RefundRental{RentalCommand: c} },
	"withdraw-rental":    func(c events.RentalCommand) choreo.Fact { return events.WithdrawRental{RentalCommand: c} },
	"flag-rental-refund": func(c events.RentalCommand) choreo.Fact { return events.FlagRentalRefund{RentalCommand: c} },
}

// emits checks what came of a step, each fact as the mode has it.
func (i *inn) emits(r *choreotest.Result, want ...choreo.Fact) {
	i.t.Helper()
	if i.mode == events.ModeManager {
		for n, f := range want {
			want[n] = managed{f}
		}
	}
	r.Emits(want...)
}

// managed is a fact on the topic of managed rentals.
type managed struct{ choreo.Fact }

func (m managed) FactType() string             { return "managed-" + m.Fact.FactType() }
func (m managed) MarshalJSON() ([]byte, error) { return json.Marshal(m.Fact) }

// charged takes a rental up to its charge.
func (i *inn) charged(r rented) events.RentalCharged {
	i.t.Helper()
	var f struct { // no fact: its type is that of the mode
		RentalID, PaymentID string
		Amount              events.Money
	}
	i.step("charge-rental", r, requested(r)).Read(&f)
	return events.RentalCharged(f)
}

// occupied takes a rental up to its room.
func (i *inn) occupied(r rented) {
	i.t.Helper()
	i.emits(i.step("occupy-room", r, i.charged(r)), events.RoomOccupied{RentalID: r.id})
}

// completed takes a rental up to where it stands.
func (i *inn) completed(r rented) {
	i.t.Helper()
	i.occupied(r)
	i.emits(i.step("complete-rental", r, events.RoomOccupied{RentalID: r.id}), events.RentalCompleted{RentalID: r.id})
}

// is checks a rental and its money: captured minus refunded is what it says, and
// the room is held where it has come so far.
func (i *inn) is(r rented, state rental.State, refund rental.RefundStatus, captured, refunded int64) *rental.Rental {
	i.t.Helper()
	got, found, err := rental.Scan(i.DB.Pool().QueryRowContext(i.t.Context(), rental.Select+`where rental_id = $1`, r.id))
	if err != nil || !found {
		i.t.Fatalf("rental %s: %t, %v", r.id, found, err)
	}
	if got.State() != state || got.Refund != refund || got.Captured.Amount != captured || got.Refunded.Amount != refunded {
		i.t.Errorf("the rental is %s (%s), refund %s, captured %d, refunded %d; want %s, %s, %d, %d", got.State(), got.Reason,
			got.Refund, got.Captured.Amount, got.Refunded.Amount, state, refund, captured, refunded)
	}
	return got
}

// holds tells whether the rental holds its room.
func (i *inn) holds(r rented) bool {
	return i.Count(`select count(*) from room_nights where rental_id = $1`, r.id) > 0
}

// due lets the wait of a step be over.
func (i *inn) due(r *choreotest.Result) {
	i.t.Helper()
	i.exec(`update choreo.steps set due_at = due_at - interval '1 hour' where event_id = $1`, r.EventID())
}

// old makes a step older than any of them may become.
func (i *inn) old(r *choreotest.Result) {
	i.t.Helper()
	i.due(r)
	i.exec(`update choreo.steps set begun_at = begun_at - interval '30 days' where event_id = $1`, r.EventID())
}

func (i *inn) exec(query string, args ...any) {
	i.t.Helper()
	if _, err := i.DB.Pool().ExecContext(i.t.Context(), query, args...); err != nil {
		i.t.Fatal(err)
	}
}

// provided counts what the provider did of a kind, such as "charge succeeded".
func (i *inn) provided() map[string]int {
	did := map[string]int{}
	for _, p := range i.sandbox.Payments() {
		did[p.Kind+" "+p.Status]++
	}
	return did
}

// did checks what the provider did.
func (i *inn) did(want string) {
	i.t.Helper()
	if got := fmt.Sprint(i.provided()); got != "map["+want+"]" {
		i.t.Errorf("the provider did %s, want %s", got, want)
	}
}
