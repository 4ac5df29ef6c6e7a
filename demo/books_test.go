package demo

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"
)

// What a view says is taken for true only when it has passed every fact that is
// known of: it may be behind the sagas.
func TestAViewIsReadWhenItHasPassedWhatIsKnown(t *testing.T) {
	t.Parallel()
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Query().Get("seen"))
		w.Header().Set("Content-Type", "application/json")
		if len(asked) == 1 || len(asked) == 3 {
			w.WriteHeader(http.StatusAccepted) // it is behind
		}
		fmt.Fprintf(w, `{"orderId":"o","state":"state %d"}`, len(asked))
	}))
	defer server.Close()
	c, err := newClient(server.URL, "", "", 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	b := &books{client: c, facts: []fact{
		{ID: "1", Type: "orders.OrderSubmitted.v1", Key: "o"}, {ID: "2", Type: "payments.PaymentCaptured.v1", Key: "o"},
		{ID: "3", Type: "orders.OrderConfirmed.v1", Key: "o"}, {ID: "4", Type: "orders.OrderConfirmed.v1", Key: "another"},
	}}
	o, err := readView[order](t.Context(), b, "/orders/o", b.last("o", "orders"), b.last("o", "payments"), b.last("o", "rentals"))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"3", "3", "2", "2"}; !slices.Equal(asked, want) || o.State != "state 4" {
		t.Errorf("asked for what has passed %v, and took %q; want %v and the last", asked, o.State, want)
	}
}
