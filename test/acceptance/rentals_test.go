package acceptance

import (
	"flag"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// guestPhone is looked for wherever nothing personal may be.
const guestPhone = "+4915147110815"

var rivals = flag.Int("rivals", 24, "how many want one room for one night at the same time")

type rentalBody struct {
	RentalID, RoomID, From, To, State, Reason, RefundStatus, SMS string
	Price, Captured, Refunded                                    money
}

var modes = []string{"choreography", "manager"}

// nights are days that no other test asks for.
var nights atomic.Int64

func (s *system) night() (from, to string) {
	n := int(nights.Add(2))
	day := func(n int) string { return time.Now().UTC().AddDate(0, 0, 30+n).Format(time.DateOnly) }
	return day(n), day(n + 1)
}

type rented struct{ id, saga, from string }

func rentalRequest(mode, card, from, to string) map[string]string {
	return map[string]string{
		"roomId": "room-1", "from": from, "to": to, "guestPhone": guestPhone, "cardToken": card, "mode": mode,
	}
}

func (s *system) rent(t *testing.T, guest person, body map[string]string) rented {
	t.Helper()
	a := s.call(t, http.StatusAccepted, http.MethodPost, "/rentals", guest.token, body)
	return rented{as[rentalBody](t, a).RentalID, a.header.Get("Troupe-Saga"), body["from"]}
}

func (s *system) rental(t *testing.T, id string) rentalBody {
	t.Helper()
	return get[rentalBody](t, s, "/rentals/"+id)
}

// rentalIn waits until a rental is in a state.
func (s *system) rentalIn(t *testing.T, id, state string) {
	t.Helper()
	eventually(t, 30*time.Second, func() error {
		if r := s.rental(t, id); r.State != state {
			return fmt.Errorf("rental %s is %s (%s); want %s", id, r.State, r.Reason, state)
		}
		return nil
	})
}

// rentalEnds checks how a rental and its money ended, and that its facts stand on
// the topic of its mode.
func (s *system) rentalEnds(t *testing.T, r rented, mode string, want rentalBody, charges, refunds int) sagaBody {
	t.Helper()
	g := s.settled(t, r.saga)
	got := s.rental(t, r.id)
	if got.State != want.State || got.Reason != want.Reason || got.RefundStatus != want.RefundStatus || got.SMS != want.SMS {
		t.Errorf("rental %s is %s (%s), refund %s, SMS %s; want %s (%s), %s, %s", r.id, got.State, got.Reason, got.RefundStatus, got.SMS,
			want.State, want.Reason, want.RefundStatus, want.SMS)
	}
	did, undid, kept := s.payments(t, r.id)
	if did != charges || undid != refunds || got.Captured.Amount-got.Refunded.Amount != kept || kept != int64(charges-refunds)*got.Price.Amount {
		t.Errorf("charged %d times and refunded %d times, want %d and %d; captured %v, refunded %v, the provider holds %d",
			did, undid, charges, refunds, got.Captured, got.Refunded, kept)
	}
	for _, step := range g.Steps {
		if strings.HasPrefix(step.Event, "rentals.") == (mode == "manager") {
			t.Errorf("a rental in mode %s has a fact %s", mode, step.Event)
		}
	}
	return g
}

// said checks that a saga has each of the facts once, on the topic of its mode.
func said(t *testing.T, g sagaBody, mode string, facts ...string) {
	t.Helper()
	for _, fact := range facts {
		if mode == "manager" {
			fact = "managed-" + fact
		}
		if g.has(fact) != 1 {
			t.Errorf("%d facts %s; want one: %+v", g.has(fact), fact, g.Steps)
		}
	}
}

// The rows of the catalogue, by card and phone.
func (s shared) rentals(t *testing.T) {
	t.Parallel()
	guest := s.join(t, "guest")
	stands := rentalBody{State: "completed", RefundStatus: "none", SMS: "sent"}
	for name, c := range map[string]struct {
		card, phone string
		want        rentalBody
		outcome     string
		charges     int
		facts       []string
	}{
		"it stands": {"tok_visa", guestPhone, stands, "completed", 1, []string{"rentals.RentalRequested", "rentals.RentalCharged",
			"rentals.RoomOccupied", "rentals.RentalCompleted", "rentals.GuestTexted"}},
		"charge-rental: flaky":           {"tok_flaky", guestPhone, stands, "completed", 1, []string{"rentals.RentalCharged"}},
		"charge-rental: its answer lost": {"tok_timeout_after_charge", guestPhone, stands, "completed", 1, []string{"rentals.RentalCharged"}},
		"charge-rental: RentalChargeFailed": {"tok_declined", guestPhone,
			rentalBody{State: "withdrawn", Reason: "generic_decline", RefundStatus: "none", SMS: "none"}, "undone", 0,
			[]string{"rentals.RentalChargeFailed", "rentals.RentalWithdrawn"}},
		"text-guest: GuestTextFailed": {"tok_visa", "+491510000", rentalBody{State: "completed", RefundStatus: "none", SMS: "failed"}, "completed", 1,
			[]string{"rentals.RentalCompleted", "rentals.GuestTextFailed"}},
	} {
		for _, mode := range modes {
			t.Run(name+", by "+mode, func(t *testing.T) {
				t.Parallel()
				from, to := s.night()
				body := rentalRequest(mode, c.card, from, to)
				body["guestPhone"] = c.phone
				r := s.rent(t, guest, body)
				g := s.rentalEnds(t, r, mode, c.want, c.charges, 0)
				if said(t, g, mode, c.facts...); g.Outcome != c.outcome {
					t.Errorf("the saga came out %s; want %s", g.Outcome, c.outcome)
				}
			})
		}
	}
}

// occupy-room: RoomOccupationFailed. The second who asks for a night is refunded.
func (s shared) rentalOfATakenRoom(t *testing.T) {
	t.Parallel()
	guest := s.join(t, "guest")
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			from, to := s.night()
			s.rentalIn(t, s.rent(t, guest, rentalRequest(mode, "tok_visa", from, to)).id, "completed")
			for card, want := range map[string]rentalBody{
				"tok_visa":         {State: "withdrawn", Reason: "taken", RefundStatus: "completed", SMS: "none"},
				"tok_refund_fails": {State: "withdrawn", Reason: "taken", RefundStatus: "failed", SMS: "none"},
			} {
				r, refunds := s.rent(t, guest, rentalRequest(mode, card, from, to)), 1
				if want.RefundStatus == "failed" {
					refunds = 0
				}
				g := s.rentalEnds(t, r, mode, want, 1, refunds)
				if said(t, g, mode, "rentals.RoomOccupationFailed"); refunds == 1 {
					said(t, g, mode, "rentals.RentalRefunded", "rentals.RentalWithdrawn")
				} else if said(t, g, mode, "rentals.RentalRefundFailed"); len(g.Owed) != 1 || g.Owed[0].Undo != "refund-rental" || g.Owed[0].Of != "charge-rental" {
					t.Errorf("owed is %+v", g.Owed)
				}
				if g.Outcome != "undone" {
					t.Errorf("the saga came out %s; want undone", g.Outcome)
				}
			}
		})
	}
}

// release-room: a complete rental that is canceled gives back room and money.
func (s shared) rentalIsCanceled(t *testing.T) {
	t.Parallel()
	guest, stranger := s.join(t, "guest"), s.join(t, "stranger")
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			from, to := s.night()
			r := s.rent(t, guest, rentalRequest(mode, "tok_visa", from, to))
			eventually(t, 30*time.Second, func() error {
				if got := s.rental(t, r.id); got.SMS != "sent" {
					return fmt.Errorf("the rental is %s, its SMS %s", got.State, got.SMS)
				}
				return nil
			})
			s.call(t, http.StatusNotFound, http.MethodDelete, "/rentals/"+r.id, stranger.token, nil)
			for range 2 { // twice is once
				if saga := s.call(t, http.StatusAccepted, http.MethodDelete, "/rentals/"+r.id, guest.token, nil).header.Get("Troupe-Saga"); saga != r.saga {
					t.Errorf("it is another saga: %s", saga)
				}
				if got := s.rental(t, r.id); got.State != "withdrawing" {
					break // it may be done already
				}
			}
			g := s.rentalEnds(t, r, mode, rentalBody{State: "withdrawn", Reason: "canceled", RefundStatus: "completed", SMS: "sent"}, 1, 1)
			said(t, g, mode, "rentals.RentalCanceled", "rentals.RoomReleased", "rentals.RentalRefunded", "rentals.RentalWithdrawn")
			s.call(t, http.StatusConflict, http.MethodDelete, "/rentals/"+r.id, guest.token, nil)

			again := s.rent(t, guest, rentalRequest(mode, "tok_visa", from, to)) // the room is free
			s.rentalEnds(t, again, mode, rentalBody{State: "completed", RefundStatus: "none", SMS: "sent"}, 1, 0)
		})
	}
}

// A rental that is withdrawn while its charge is under way.
func (s shared) rentalIsWithdrawnInCharge(t *testing.T) {
	t.Parallel()
	guest := s.join(t, "guest")
	for _, mode := range modes {
		for _, card := range []string{"tok_slow", "tok_timeout_after_charge"} {
			t.Run(card+", by "+mode, func(t *testing.T) {
				t.Parallel()
				from, to := s.night()
				r := s.rent(t, guest, rentalRequest(mode, card, from, to))
				eventually(t, 30*time.Second, func() error {
					if s.count(t, `select count(*) from choreo.steps where consumer = 'charge-rental' and saga = $1 and state = 'calling'`, r.saga) == 0 {
						return fmt.Errorf("the charge of rental %s is not under way", r.id)
					}
					return nil
				})
				s.call(t, http.StatusAccepted, http.MethodDelete, "/rentals/"+r.id, guest.token, nil)
				if got := s.rental(t, r.id); got.State != "withdrawing" || got.RefundStatus != "started" {
					t.Errorf("at once it is %s, refund %s", got.State, got.RefundStatus)
				}
				s.settled(t, r.saga)
				got := s.rental(t, r.id)
				_, _, kept := s.payments(t, r.id)
				if got.State != "withdrawn" || got.Reason != "withdrawn" || kept != 0 || got.Captured != got.Refunded ||
					got.RefundStatus != "completed" && got.RefundStatus != "none" {
					t.Errorf("the provider holds %d of a rental that is %+v", kept, got)
				}
			})
		}
	}
}

// Many want one room for one night, half in each mode: one holds it, all others
// are refunded and withdrawn. -rivals=200 for the full number.
func (s shared) manyWantOneRoom(t *testing.T) {
	t.Parallel()
	guest := s.join(t, "guest")
	from, to := s.night()
	all := make([]rented, *rivals)
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() { all[i] = s.rent(t, guest, rentalRequest(modes[i%2], "tok_visa", from, to)) })
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	held := 0
	for i, r := range all {
		mode := modes[i%2]
		s.settled(t, r.saga)
		if s.rental(t, r.id).State == "completed" {
			held++
			s.rentalEnds(t, r, mode, rentalBody{State: "completed", RefundStatus: "none", SMS: "sent"}, 1, 0)
			continue
		}
		s.rentalEnds(t, r, mode, rentalBody{State: "withdrawn", Reason: "taken", RefundStatus: "completed", SMS: "none"}, 1, 1)
	}
	if held != 1 {
		t.Errorf("%d of %d hold the room", held, len(all))
	}
}

func (s shared) rentalRules(t *testing.T) {
	t.Parallel()
	guest, stranger := s.join(t, "guest"), s.join(t, "stranger")
	rooms := as[struct {
		Items []struct {
			RoomID        string
			PricePerNight money
		}
		Next *string
	}](t, s.call(t, http.StatusOK, http.MethodGet, "/rooms", "", nil))
	if len(rooms.Items) != 3 || rooms.Items[0].RoomID != "room-1" || rooms.Items[0].PricePerNight.Amount <= 0 || rooms.Next != nil {
		t.Errorf("the rooms are %+v", rooms)
	}
	from, to := s.night()
	today := time.Now().UTC().Format(time.DateOnly)
	for _, c := range []struct{ field, value string }{
		{"roomId", "room-9"}, {"from", "2001-01-01"}, {"from", "tomorrow"}, {"to", from}, {"to", "9999-01-01"}, {"to", "2031-02-30"},
		{"guestPhone", "call me"}, {"cardToken", " "}, {"mode", "orchestra"}, {"price", "1"},
	} {
		body := rentalRequest("choreography", "tok_visa", from, to)
		body[c.field] = c.value
		a, err := s.try(http.MethodPost, "/rentals", guest.token, body)
		if err != nil {
			t.Fatal(err)
		}
		s.isProblem(t, c.field+" "+c.value, a, http.StatusUnprocessableEntity, "body."+c.field)
	}
	s.call(t, http.StatusUnauthorized, http.MethodPost, "/rentals", "", rentalRequest("manager", "tok_visa", from, to))
	s.call(t, http.StatusForbidden, http.MethodPost, "/rentals", staff, rentalRequest("manager", "tok_visa", from, to))

	tomorrow := time.Now().UTC().AddDate(0, 0, 1).Format(time.DateOnly)
	begun := rentalRequest("choreography", "tok_visa", today, tomorrow)
	begun["roomId"] = "room-3"
	r := s.rent(t, guest, begun)
	s.call(t, http.StatusOK, http.MethodGet, "/rentals/"+r.id, guest.token, nil)
	s.call(t, http.StatusNotFound, http.MethodGet, "/rentals/"+r.id, stranger.token, nil)
	s.call(t, http.StatusConflict, http.MethodDelete, "/rentals/"+r.id, guest.token, nil)
	s.settled(t, r.saga)
}
