package acceptance

import (
	"net/http"
	"testing"
)

// A verification mail can be asked for again, and that starts a saga of its own.
func (s shared) mailAgain(t *testing.T) {
	t.Parallel()
	for local, want := range map[string]struct{ mail, fact, outcome string }{
		"again":  {"sent", "accounts.VerificationMailSent", "completed"},
		"bounce": {"failed", "accounts.VerificationMailFailed", "failed"},
	} {
		t.Run("send-verification-mail: "+want.mail, func(t *testing.T) {
			t.Parallel()
			p := s.join(t, local)
			s.settled(t, p.saga)
			a := s.call(t, http.StatusAccepted, http.MethodPost, "/accounts/"+p.id+"/verification-mails", p.token, nil)
			saga := a.header.Get("Troupe-Saga")
			if saga == p.saga {
				t.Error("the second mail joined the saga of the sign-up")
			}
			if g := s.settled(t, saga); g.Outcome != want.outcome || g.has(want.fact) != 1 {
				t.Errorf("the saga is %+v", g)
			}
			s.mailState(t, p, want.mail)
			if n := len(s.mails(t, p.email, "verification", "")); n != 2 {
				t.Errorf("%d attempts in all; want one for each mail", n)
			}
		})
	}
}

// A new password ends the other sessions.
func (s shared) passwordChanged(t *testing.T) {
	t.Parallel()
	p := s.join(t, "careful")
	other := as[struct{ Token string }](t, s.call(t, http.StatusCreated, http.MethodPost, "/sessions", "",
		map[string]string{"email": p.email, "password": password})).Token
	path, body := "/accounts/"+p.id+"/password", map[string]string{"current": password, "new": "another-" + password}
	s.call(t, http.StatusOK, http.MethodPut, path, p.token, body)
	s.call(t, http.StatusUnauthorized, http.MethodGet, "/accounts/"+p.id, other, nil)
	s.call(t, http.StatusOK, http.MethodGet, "/accounts/"+p.id, p.token, nil)
	s.call(t, http.StatusUnauthorized, http.MethodPost, "/sessions", "", map[string]string{"email": p.email, "password": password})
	s.call(t, http.StatusCreated, http.MethodPost, "/sessions", "", map[string]string{"email": p.email, "password": body["new"]})
}

// A mail that is refused fails itself, and nothing else.
func (s shared) refusedMailsHarmNothing(t *testing.T) {
	t.Parallel()
	p := s.join(t, "bounce")
	t.Run("mail-author: AuthorMailFailed", func(t *testing.T) {
		t.Parallel()
		id, saga := s.write(t, p, []string{"forbidden"})
		if g := s.settled(t, saga); g.Outcome != "undone" || g.has("posts.AuthorMailFailed") != 1 || g.has("posts.TagsRemoved") != 1 {
			t.Errorf("the saga is %+v", g)
		}
		s.postIn(t, id, "withdrawn")
	})
	t.Run("mail-buyer: BuyerMailFailed", func(t *testing.T) {
		t.Parallel()
		id, saga := s.place(t, p, "tok_visa")
		if g := s.comesOut(t, id, saga, orderBody{State: "confirmed", RefundStatus: "none"}, 1, 0); g.Outcome != "completed" || g.has("orders.BuyerMailFailed") != 1 {
			t.Errorf("the saga is %+v", g)
		}
	})
}

// An order whose own address the carrier refuses cannot be put back to it: that
// is owed.
func (s shared) recallOwed(t *testing.T) {
	t.Parallel()
	buyer := s.join(t, "buyer")
	order := orderRequest("tok_visa")
	order["shippingInfo"].(map[string]string)["postalCode"] = "00000"
	id := as[orderBody](t, s.call(t, http.StatusAccepted, http.MethodPost, "/orders", buyer.token, order)).OrderID
	g := s.settled(t, s.move(t, buyer, id, "00000"))
	if g.has("orders.CarrierSyncFailed") != 1 || g.has("orders.ShippingInfoReverted") != 1 || g.has("orders.CarrierRecallFailed") != 1 {
		t.Errorf("the saga is %+v", g)
	}
	if len(g.Owed) != 1 || g.Owed[0].Undo != "recall-carrier" || g.Owed[0].Of != "sync-carrier" {
		t.Errorf("owed is %+v; want recall-carrier of sync-carrier", g.Owed)
	}
}
