package api_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// read sends a GET as it is: the views are as far as they are.
func (r *rig) read(path, token string) *reply {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.url+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return r.send(req)
}

// What is there and not in its view yet is waited for, up to a second, and told
// as far as it is known; what is not there is not waited for.
func TestAFreshIdIsPendingInItsView(t *testing.T) {
	t.Parallel()
	r := start(t)
	ana, token := r.signedIn("ana@example.com")
	_, bob := r.signedIn("bob@example.com")
	id, _ := r.placed(token)
	for path, want := range map[string]string{
		"/orders/" + id:    `{"id":"` + id + `","state":"submitted"}`,
		"/accounts/" + ana: `{"id":"` + ana + `","state":"unverified"}`,
	} {
		began := time.Now()
		got := r.read(path, token).is(http.StatusAccepted)
		if body := strings.TrimSpace(string(got.body)); body != want || time.Since(began) < time.Second {
			t.Errorf("%s after %v: %s, want %s", path, time.Since(began), body, want)
		}
		r.read(path, bob).is(http.StatusNotFound)
	}
	began := time.Now()
	r.read("/orders/unknown", staffToken).is(http.StatusNotFound)
	if time.Since(began) > 900*time.Millisecond {
		t.Errorf("what is not there is waited for: %v", time.Since(began))
	}

	// It comes while somebody waits.
	got := make(chan *reply, 1)
	go func() { defer close(got); got <- r.read("/orders/"+id, staffToken) }()
	r.project()
	(<-got).is(http.StatusOK)
}

// A client that names the event of its command reads its own write, or is told
// that the view has not come to it.
func TestReadYourOwnWriteBySeen(t *testing.T) {
	t.Parallel()
	r := start(t)
	ana, token := r.signedIn("ana@example.com")
	id, _ := r.placed(token)
	r.project()
	event := r.do("POST", "/orders/"+id+"/cancellation", token, nil).is(http.StatusAccepted).header.Get("Troupe-Event")

	var o orderBody
	behind := make(chan *reply, 2)
	go func() {
		behind <- r.read("/orders/"+id+"?seen="+event, staffToken)
		behind <- r.read("/posts?seen="+event, staffToken) // of a topic that this view does not follow
	}()
	r.read("/orders/"+id, staffToken).is(http.StatusOK).into(&o)
	if o.State != "submitted" {
		t.Errorf("without seen, and before the view was told, the order is %s", o.State)
	}
	r.project()
	(<-behind).is(http.StatusOK).into(&o)
	if o.State != "canceled" || o.RefundStatus != "started" {
		t.Errorf("with seen the order is %s, its refund %s", o.State, o.RefundStatus)
	}
	(<-behind).is(http.StatusOK)

	// One that nobody knows is waited for, each view on its own.
	var wg sync.WaitGroup
	for _, path := range []string{"/orders/" + id, "/accounts/" + ana, "/posts"} {
		wg.Go(func() {
			began := time.Now()
			got := r.read(path+"?seen=nobody-knows-it", staffToken)
			if waited := time.Since(began); got.status != http.StatusAccepted || len(got.body) < 20 || waited < 5*time.Second {
				t.Errorf("%s after %v: %d %s; want 202 with what there is", path, waited, got.status, got.body)
			}
		})
	}
	wg.Wait()
}
