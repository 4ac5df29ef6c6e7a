package rentals_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"troupe/choreo/choreotest"
	"troupe/domain/process"
	"troupe/domain/rental"
	"troupe/events"
	"troupe/handlers"
	provider "troupe/providers/payment"
	"troupe/providers/sms"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		_ = flag.Set("rapid.checks", "30") // -rapid.checks=1000 for a long run
	}
	os.Exit(m.Run())
}

// world is the outside of the model: a till and a gateway in memory that do what
// each draw says, keep what they did by key, and never do it twice for one.
type world struct {
	draw   func(what string, outcomes ...string) string
	during func() // while a charge is under way

	taken, back map[string]int64 // by the key of the charge
	stopped     map[string]bool
	texts       map[string]bool
}

func (w *world) reset(draw func(string, ...string) string, during func()) {
	*w = world{draw: draw, during: during, taken: map[string]int64{}, back: map[string]int64{}, stopped: map[string]bool{}, texts: map[string]bool{}}
}

func (w *world) Capture(_ context.Context, r provider.Request, _ string) (provider.Charge, error) {
	w.during()
	outcome := w.draw("capture", "done", "done", "declined", "lost", "answer lost")
	switch {
	case outcome == "lost":
		return provider.Charge{}, errLost
	case w.stopped[r.Key]:
		return provider.Charge{}, provider.ErrCanceled
	case w.taken[r.Key] == 0 && outcome == "declined":
		return provider.Charge{}, provider.ErrDeclined
	}
	if w.taken[r.Key] = r.Amount.Amount; outcome == "answer lost" {
		return provider.Charge{}, errLost
	}
	return provider.Charge{PaymentID: "pi " + r.Key, Amount: r.Amount}, nil
}

func (w *world) Find(_ context.Context, key string) (provider.Charge, bool, error) {
	if w.draw("find", "done", "lost") == "lost" {
		return provider.Charge{}, false, errLost
	}
	return provider.Charge{PaymentID: "pi " + key, Amount: provider.Money{Amount: w.taken[key], Currency: "EUR"}}, w.taken[key] > 0, nil
}

func (w *world) Reverse(_ context.Context, r provider.Request, _ string) (provider.Reversal, error) {
	outcome := w.draw("reverse", "done", "done", "refused", "lost", "answer lost")
	zero := provider.Money{Currency: "EUR"}
	switch {
	case outcome == "lost":
		return provider.Reversal{}, errLost
	case w.taken[r.Key] == 0:
		w.stopped[r.Key] = true
	case outcome == "refused" && w.back[r.Key] == 0:
		return provider.Reversal{}, provider.ErrRefused
	default:
		w.back[r.Key] = w.taken[r.Key]
	}
	if outcome == "answer lost" {
		return provider.Reversal{}, errLost
	}
	if w.taken[r.Key] == 0 {
		return provider.Reversal{Captured: zero, Refunded: zero}, nil
	}
	return provider.Reversal{PaymentID: "pi " + r.Key, RefundID: "re " + r.Key, Captured: r.Amount, Refunded: r.Amount}, nil
}

func (w *world) FindReversal(context.Context, string) (provider.Reversal, bool, error) {
	if w.draw("find reversal", "done", "lost") == "lost" {
		return provider.Reversal{}, false, errLost
	}
	for key, amount := range w.taken {
		m := provider.Money{Amount: amount, Currency: "EUR"}
		return provider.Reversal{PaymentID: "pi " + key, RefundID: "re " + key, Captured: m, Refunded: m}, w.back[key] == amount, nil
	}
	zero := provider.Money{Currency: "EUR"}
	return provider.Reversal{Captured: zero, Refunded: zero}, len(w.stopped) > 0, nil
}

// texting is the gateway's side of the world.
type texting struct{ *world }

func (w texting) Send(_ context.Context, key string, _ sms.Message) error {
	switch w.draw("text", "done", "refused", "lost", "answer lost") {
	case "refused":
		return sms.ErrRefused
	case "lost":
		return errLost
	case "answer lost":
		w.texts[key] = true
		return errLost
	}
	w.texts[key] = true
	return nil
}

func (w texting) Find(_ context.Context, key string) (bool, error) { return w.texts[key], nil }

// run is one rental on its way through its consumers.
type run struct {
	*inn
	r      rented
	seen   int64               // of the outbox
	queues map[string][]string // consumer and topic -> events to come
	past   [][2]string         // consumer and event, delivered
	open   []*choreotest.Result
	ended  bool // the guest was told that the rental is given up
}

// hear puts what was emitted before the consumers that react to it.
func (u *run) hear() {
	rows, err := u.DB.Pool().Query(`select id, event_id, type from choreo.outbox where saga = $1 and id > $2 order by id`, u.r.saga, u.seen)
	if err != nil {
		u.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var event, typ string
		if err := rows.Scan(&u.seen, &event, &typ); err != nil {
			u.t.Fatal(err)
		}
		for _, c := range u.DB.Flow().Consumers() {
			if rule := c.Rule(typ); rule != nil && !rule.View {
				u.queues[c.Name] = append(u.queues[c.Name], event)
			}
		}
	}
	if err := rows.Err(); err != nil {
		u.t.Fatal(err)
	}
}

func (u *run) waiting() (names []string) {
	for name, queue := range u.queues {
		if len(queue) > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (u *run) deliver(consumer string) {
	event := u.queues[consumer][0]
	u.queues[consumer] = u.queues[consumer][1:]
	u.past = append(u.past, [2]string{consumer, event})
	u.note(u.Forward(consumer, event))
}

func (u *run) note(r *choreotest.Result) {
	if r.State == "waiting" {
		u.open = append(u.open, r)
	}
	u.hear()
}

// again tries a step that waits once more.
func (u *run) again(n int) {
	r := u.open[n]
	u.open = slices.Delete(u.open, n, n+1)
	u.due(r)
	u.note(u.Again(r))
}

func (u *run) giveUp() {
	if err := u.end(u.r); err == nil {
		u.ended = true
	} else if !errors.Is(err, rental.ErrWithdrawn) {
		u.t.Fatal(err)
	}
	u.hear()
}

// Whatever the provider, the gateway and the guest do, and in whatever order the
// consumers come to it, with facts that come twice: a rental ends as it says, with
// the money and the room that go with it.
func TestEveryInterleaving(t *testing.T) {
	inBoth(t, func(t *testing.T, mode string) {
		w := &world{}
		w.reset(func(_ string, o ...string) string { return o[0] }, func() {})
		i := open(t, mode, func(o *handlers.Outside) { o.Payments, o.SMS = w, texting{w} })
		rapid.Check(t, func(rt *rapid.T) { interleave(rt, i, w) })
	})
}

func interleave(rt *rapid.T, i *inn, w *world) {
	calm := false
	u := &run{inn: i, queues: map[string][]string{}}
	w.reset(func(what string, outcomes ...string) string {
		if calm {
			return outcomes[0]
		}
		return rapid.SampledFrom(outcomes).Draw(rt, what)
	}, func() {
		if !calm && rapid.IntRange(0, 4).Draw(rt, "given up during the charge") == 0 {
			u.giveUp()
		}
	})
	if rapid.IntRange(0, 3).Draw(rt, "the room is taken") == 0 {
		other := i.rentFor(i.mode, "tok_visa", "+49151", i.day)
		i.exec(`insert into room_nights select rental_id, room_id, daterange(from_day::date, to_day::date) from rentals where rental_id = $1`, other.id)
	}
	u.r = i.rent("tok_visa")
	u.hear()
	for n := rapid.IntRange(0, 40).Draw(rt, "steps"); n > 0; n-- {
		names := u.waiting()
		switch what := rapid.IntRange(0, 9).Draw(rt, "what"); {
		case what == 0 && !u.ended:
			u.giveUp()
		case what == 1 && len(u.past) > 0: // a fact that comes twice
			p := rapid.SampledFrom(u.past).Draw(rt, "again")
			u.note(u.Forward(p[0], p[1]))
		case what <= 3 && len(u.open) > 0:
			u.again(rapid.IntRange(0, len(u.open)-1).Draw(rt, "step"))
		case what == 4 && len(u.open) > 0: // it is tried for the last time
			old := rapid.IntRange(0, len(u.open)-1).Draw(rt, "old step")
			i.old(u.open[old])
			u.again(old)
		case len(names) > 0:
			u.deliver(rapid.SampledFrom(names).Draw(rt, "consumer"))
		}
	}
	calm = true // what is left comes, and nothing fails any more
	for tries := 0; ; tries++ {
		if names := u.waiting(); len(names) > 0 {
			u.deliver(names[0])
		} else if len(u.open) > 0 {
			u.again(0)
		} else {
			break
		}
		if tries > 200 {
			rt.Fatalf("the rental does not come to its end: %v, %d steps wait", u.queues, len(u.open))
		}
	}
	u.check(rt, w)
}

// check compares the rental's end with the world.
func (u *run) check(rt *rapid.T, w *world) {
	got, _, err := rental.Scan(u.DB.Pool().QueryRow(rental.Select+`where rental_id = $1`, u.r.id))
	if err != nil {
		rt.Fatal(err)
	}
	var taken, back int64
	for key, amount := range w.taken {
		taken, back = taken+amount, back+w.back[key]
	}
	says := fmt.Sprintf("it is %s (%s), refund %s, captured %d, refunded %d, SMS %s; the provider took %d and gave %d back",
		got.State(), got.Reason, got.Refund, got.Captured.Amount, got.Refunded.Amount, got.SMS, taken, back)
	if got.Captured.Amount != taken && got.Refund != rental.RefundFailed || got.Captured.Amount-got.Refunded.Amount != taken-back && got.Refund != rental.RefundFailed {
		rt.Errorf("the money: %s", says)
	}
	switch got.State() {
	case rental.Completed:
		if u.ended || taken != price.Amount || back != 0 || got.Refund != rental.RefundNone || !u.holds(u.r) {
			rt.Errorf("it stands, given up: %t, held: %t: %s", u.ended, u.holds(u.r), says)
		}
	case rental.Withdrawn:
		if u.holds(u.r) || back != taken && got.Refund != rental.RefundFailed || (taken > 0 && got.Refund == rental.RefundNone) {
			rt.Errorf("it is withdrawn, held: %t: %s", u.holds(u.r), says)
		}
	default:
		rt.Errorf("it has no end: %s", says)
	}
	if len(w.texts) > 1 || got.SMS == rental.SMSSent && len(w.texts) != 1 || len(w.taken) > 1 {
		rt.Errorf("%d texts, %d charges: %s", len(w.texts), len(w.taken), says)
	}
	for _, once := range []string{"RentalCharged", "RoomOccupied", "RentalCompleted", "RoomReleased", "RentalRefunded", "RentalWithdrawn", "GuestTexted"} {
		if n := u.Count(`select count(*) from choreo.outbox where key = $1 and type like '%rentals.' || $2 || '.v1'`, u.r.id, once); n > 1 {
			rt.Errorf("%d facts %s: %s", n, once, says)
		}
	}
	if u.mode == events.ModeManager {
		u.checkManager(rt, got, says)
	}
}

// checkManager compares where the rental's manager is with where the rental is.
func (u *run) checkManager(rt *rapid.T, got *rental.Rental, says string) {
	var entries []process.Entry
	rows, err := u.DB.Pool().Query(`select kind, name from rental_process where rental_id = $1 order by position, kind`, u.r.id)
	if err != nil {
		rt.Fatal(err)
	}
	defer rows.Close()
	issued, confirmed := 0, 0
	for rows.Next() {
		var e process.Entry
		if err := rows.Scan(&e.Kind, &e.Name); err != nil {
			rt.Fatal(err)
		}
		entries = append(entries, e)
		switch e.Kind {
		case process.CommandIssued:
			issued++
		case process.PublishingConfirmed:
			confirmed++
		}
	}
	if err := rows.Err(); err != nil {
		rt.Fatal(err)
	}
	want := map[rental.State]process.Phase{rental.Completed: process.Completed, rental.Withdrawn: process.Ended}[got.State()]
	if got.Refund == rental.RefundFailed {
		want = process.Flagging
	}
	if phase := process.Fold(entries).Phase; phase != want || issued != confirmed {
		rt.Errorf("its manager is %s, want %s; %d commands, %d confirmed: %s", phase, want, issued, confirmed, says)
	}
}
