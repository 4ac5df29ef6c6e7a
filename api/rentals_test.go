package api_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"troupe/domain/rental"
	"troupe/events"
)

func inDays(n int) string { return time.Now().UTC().AddDate(0, 0, n).Format(time.DateOnly) }

// aRental is the body of a good rental, of three nights at 9000 cents, changed
// where wanted; a nil takes a field out.
func aRental(change map[string]any) map[string]any {
	body := map[string]any{
		"roomId": "room-1", "from": inDays(3), "to": inDays(6), "guestPhone": "+49 151 5550815", "cardToken": "tok_visa", "mode": "manager",
	}
	maps.Copy(body, change)
	maps.DeleteFunc(body, func(_ string, v any) bool { return v == nil })
	return body
}

// rented is a rental of the caller, and its saga.
func (r *rig) rented(token string, body map[string]any) (id, saga string) {
	r.t.Helper()
	r.rooms()
	var made struct{ RentalID string }
	got := r.do("POST", "/rentals", token, body).is(http.StatusAccepted).into(&made)
	return made.RentalID, got.header.Get("Troupe-Saga")
}

func (r *rig) rooms() {
	r.t.Helper()
	night := events.Money{Amount: 9000, Currency: "EUR"}
	if err := rental.PutRooms(r.t.Context(), r.db.Pool(), []rental.Room{{ID: "room-1", Price: night}, {ID: "room-2", Price: night}}); err != nil {
		r.t.Fatal(err)
	}
}

func TestRooms(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.rooms()
	want := `{"items":[{"roomId":"room-1","pricePerNight":{"amount":9000,"currency":"EUR"}},` +
		`{"roomId":"room-2","pricePerNight":{"amount":9000,"currency":"EUR"}}],"next":null}`
	if got := strings.TrimSpace(string(r.do("GET", "/rooms", "", nil).is(http.StatusOK).body)); got != want {
		t.Errorf("rooms\n%s, want\n%s", got, want)
	}
	var page struct {
		Items []struct{ RoomID string }
		Next  *string
	}
	r.do("GET", "/rooms?limit=1", "", nil).is(http.StatusOK).into(&page)
	if len(page.Items) != 1 || page.Next == nil {
		t.Fatalf("a page of one: %+v", page)
	}
	next := *page.Next
	page.Next = nil
	r.do("GET", "/rooms?limit=1&cursor="+next, "", nil).is(http.StatusOK).into(&page)
	if len(page.Items) != 1 || page.Items[0].RoomID != "room-2" || page.Next != nil {
		t.Errorf("the page behind: %+v", page)
	}
}

func TestRequestRental(t *testing.T) {
	t.Parallel()
	r := start(t)
	ana, token := r.signedIn("ana@example.com")
	for mode, topic := range map[string]string{"choreography": "rentals", "manager": "managed-rentals"} {
		id, saga := r.rented(token, aRental(map[string]any{"mode": mode}))
		want := fmt.Sprintf(`%s.RentalRequested.v1 %s {"rentalId":"%s","accountId":"%s","roomId":"room-1","from":"%s","to":"%s",`+
			`"price":{"amount":27000,"currency":"EUR"},"mode":"%s"}`, topic, saga, id, ana, inDays(3), inDays(6), mode)
		if facts := r.facts(id); len(facts) != 1 || facts[0] != want {
			t.Errorf("facts %v, want %s", facts, want)
		}
		want = fmt.Sprintf(`{"rentalId":"%s","roomId":"room-1","from":"%s","to":"%s","price":{"amount":27000,"currency":"EUR"},`+
			`"state":"requested","reason":"","refundStatus":"none","captured":{"amount":0,"currency":"EUR"},`+
			`"refunded":{"amount":0,"currency":"EUR"},"sms":"none"}`, id, inDays(3), inDays(6))
		if got := strings.TrimSpace(string(r.do("GET", "/rentals/"+id, token, nil).is(http.StatusOK).body)); got != want {
			t.Errorf("rental\n%s, want\n%s", got, want)
		}
	}
	if text := r.logs.String(); strings.Contains(text, "5550815") || strings.Contains(text, "tok_visa") {
		t.Error("a phone or a card is in the log")
	}
	id, _ := r.rented(token, aRental(map[string]any{"mode": nil}))
	if facts := r.facts(id); !strings.HasPrefix(facts[0], "rentals.") {
		t.Errorf("without a mode: %v", facts)
	}
}

func TestRequestRentalRules(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.rooms()
	_, token := r.signedIn("ana@example.com")
	for _, c := range []struct {
		field string
		value any
	}{
		{"roomId", "room-9"}, {"roomId", nil}, {"roomId", 7}, {"from", inDays(-1)}, {"from", "soon"}, {"from", "2031-1-1"},
		{"to", inDays(3)}, {"to", inDays(2)}, {"to", inDays(3 + 367)}, {"to", "2030-02-30"}, {"to", nil},
		{"guestPhone", ""}, {"guestPhone", "x"}, {"guestPhone", strings.Repeat("1", 40)}, {"cardToken", " "},
		{"mode", "both"}, {"mode", 1}, {"price", 1},
	} {
		at := r.do("POST", "/rentals", token, aRental(map[string]any{c.field: c.value})).is(http.StatusUnprocessableEntity).locations()
		if len(at) != 1 || at[0] != "body."+c.field {
			t.Errorf("%s = %v is wrong at %v", c.field, c.value, at)
		}
	}
	for _, good := range []map[string]any{{"from": inDays(0)}, {"to": inDays(3 + 366)}, {"guestPhone": "0151-555 (08) 15"}} {
		r.do("POST", "/rentals", token, aRental(good)).is(http.StatusAccepted)
	}
	r.do("POST", "/rentals", "", aRental(nil)).is(http.StatusUnauthorized)
	r.do("POST", "/rentals", staffToken, aRental(nil)).is(http.StatusForbidden)
	r.do("POST", "/rentals", token, `{`).is(http.StatusBadRequest)
}

func TestWithdrawRental(t *testing.T) {
	t.Parallel()
	r := start(t)
	_, token := r.signedIn("ana@example.com")
	_, stranger := r.signedIn("eve@example.com")
	set := func(id, to string) {
		t.Helper()
		if _, err := r.db.Pool().Exec(`update rentals set `+to+` where rental_id = $1`, id); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct{ from, fact string }{
		"requested": {`reached = 'requested'`, "managed-rentals.RentalWithdrawalRequested.v1"},
		"charged":   {`reached = 'charged'`, "managed-rentals.RentalWithdrawalRequested.v1"},
		"occupied":  {`reached = 'occupied'`, "managed-rentals.RentalWithdrawalRequested.v1"},
		"completed": {`reached = 'completed'`, "managed-rentals.RentalCanceled.v1"},
	} {
		t.Run(name, func(t *testing.T) {
			id, saga := r.rented(token, aRental(nil))
			set(id, c.from)
			r.do("DELETE", "/rentals/"+id, stranger, nil).is(http.StatusNotFound)
			for range 2 {
				var got struct{ State, RefundStatus string }
				p := r.do("DELETE", "/rentals/"+id, token, nil).is(http.StatusAccepted).into(&got)
				if p.header.Get("Troupe-Saga") != saga || p.header.Get("Location") != "/sagas/"+saga || got.State != "withdrawing" || got.RefundStatus != "started" {
					t.Errorf("answer %s, headers %v", p.body, p.header)
				}
			}
			if facts := r.facts(id); len(facts) != 2 || !strings.HasPrefix(facts[1], c.fact+" "+saga) {
				t.Errorf("facts %v", facts)
			}
			set(id, `ending = 'withdrawn'`)
			r.do("DELETE", "/rentals/"+id, token, nil).is(http.StatusConflict)
		})
	}
	begun, _ := r.rented(token, aRental(map[string]any{"from": inDays(0)}))
	r.do("DELETE", "/rentals/"+begun, token, nil).is(http.StatusConflict)
	set(begun, `ending = 'undoing'`)
	r.do("DELETE", "/rentals/"+begun, token, nil).is(http.StatusAccepted)
	r.do("DELETE", "/rentals/nobodys", token, nil).is(http.StatusNotFound)
	r.do("DELETE", "/rentals/"+begun, staffToken, nil).is(http.StatusForbidden)
	r.do("GET", "/rentals/"+begun, stranger, nil).is(http.StatusNotFound)
	r.do("GET", "/rentals/"+begun, staffToken, nil).is(http.StatusOK)
}

// A rental that has not ended stands against deleting its account's person, and
// once erased nobody can be texted.
func TestAClosingAccountRentsNothing(t *testing.T) {
	t.Parallel()
	r := start(t)
	id, token := r.signedIn("ana@example.com")
	rental, _ := r.rented(token, aRental(nil))
	r.do("DELETE", "/accounts/"+id, token, nil).is(http.StatusAccepted)
	r.do("POST", "/rentals", token, aRental(nil)).is(http.StatusForbidden)
	r.do("DELETE", "/rentals/"+rental, token, nil).is(http.StatusAccepted)
}
