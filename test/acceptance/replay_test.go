package acceptance

import "testing"

// All groups are set back to the beginning while the system is stopped: it
// reads everything again, and does nothing again.
func TestRewoundGroupsDoNothingAgain(t *testing.T) {
	t.Parallel()
	url, db := database(t)
	s := shared{up(t, onDatabase(url), onBroker(broker(t))), db}
	people := []person{s.join(t, "one"), s.signUp(t, "flaky"), s.signUp(t, "bounce")}
	buyer := people[0]
	var sagas []string
	for _, p := range people {
		sagas = append(sagas, p.saga)
	}
	for _, card := range []string{"tok_visa", "tok_refund_fails", "tok_declined", "tok_timeout_after_charge"} {
		id, saga := s.place(t, buyer, card)
		if sagas = append(sagas, saga); card == "tok_visa" || card == "tok_refund_fails" {
			s.confirmed(t, id)
			s.cancel(t, buyer, id)
		}
	}
	kept, saga := s.place(t, buyer, "tok_visa")
	sagas = append(sagas, saga)
	for _, tags := range [][]string{{"one", "two"}, {"two", "forbidden"}} {
		_, saga := s.write(t, buyer, tags, s.upload(t, buyer, "one.png", picture(12)))
		sagas = append(sagas, saga)
	}
	removed, saga := s.write(t, buyer, []string{"two"}, s.upload(t, buyer, "one.png", picture(13)))
	sagas = append(sagas, saga)
	s.postIn(t, removed, "published")
	s.call(t, 202, "DELETE", "/posts/"+removed, buyer.token, nil)
	for _, saga := range sagas {
		s.settled(t, saga)
	}
	s.quiet(t)
	before := s.everything(t, strict)

	s.stop(t)
	c := s.kafkaClient(t)
	groups := s.groups(t, c)
	if len(groups) < 10 {
		t.Errorf("there are %d groups: %q", len(groups), groups)
	}
	for _, group := range groups {
		rewind(t, c, group)
	}
	s.start(t)
	s.quiet(t)
	for _, saga := range sagas {
		s.settled(t, saga)
	}
	s.unchanged(t, "reading everything again", before, s.everything(t, strict))
	// And it goes on from there.
	s.confirmed(t, kept)
	s.cancel(t, buyer, kept)
	s.comesOut(t, kept, sagas[7], orderBody{State: "canceled", RefundStatus: "completed"}, 1, 1)
}
