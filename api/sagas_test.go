package api_test

import "testing"

type sagaBody struct {
	SagaID, Status, StartedBy string
	Steps                     []struct{ Event string }
}

func TestWhoMaySeeASaga(t *testing.T) {
	t.Parallel()
	r := start(t)
	path := r.signUp("ana@example.com").header.Get("Location")
	_, anas := r.signIn("ana@example.com", "correct horse")
	_, bobs := r.signedIn("bob@example.com")

	for _, sequenced := range []bool{false, true} {
		if sequenced {
			r.sequence()
		}
		for _, token := range []string{anas, staffToken} {
			var s sagaBody
			r.do("GET", path, token, nil).is(200).into(&s)
			if "/sagas/"+s.SagaID != path || s.StartedBy != "sign-up" || len(s.Steps) != 1 || s.Status != "running" {
				t.Errorf("saga %+v", s)
			}
		}
		r.do("GET", path, bobs, nil).is(404)
		r.do("GET", path, "", nil).is(401)
	}
	r.do("GET", "/sagas/unknown", staffToken, nil).is(404)
}

func TestListSagas(t *testing.T) {
	t.Parallel()
	r := start(t)
	_, token := r.signedIn("ana@example.com")
	r.signedIn("bob@example.com")
	r.sequence()
	r.do("GET", "/sagas", token, nil).is(403)
	r.do("GET", "/sagas?status=odd", staffToken, nil).is(422)

	type page struct {
		Items []sagaBody
		Next  *string
	}
	var first, second, settled page
	r.do("GET", "/sagas?status=running&limit=1", staffToken, nil).is(200).into(&first)
	if len(first.Items) != 1 || first.Next == nil {
		t.Fatalf("first page %+v", first)
	}
	r.do("GET", "/sagas?status=running&cursor="+*first.Next, staffToken, nil).is(200).into(&second)
	if len(second.Items) != 1 || second.Next != nil || second.Items[0].SagaID == first.Items[0].SagaID {
		t.Errorf("second page %+v after %+v", second, first)
	}
	r.do("GET", "/sagas?status=settled", staffToken, nil).is(200).into(&settled)
	if settled.Items == nil || len(settled.Items) != 0 {
		t.Errorf("settled: %+v", settled)
	}
}
