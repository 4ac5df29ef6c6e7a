package api_test

import (
	"net/http"
	"strings"
	"testing"
)

func elsewhere(change map[string]any) map[string]any {
	to := map[string]any{"name": "Ana", "street": "2 Lane", "city": "Port", "postalCode": "54321", "country": "DE"}
	for k, v := range change {
		if to[k] = v; v == nil {
			delete(to, k)
		}
	}
	return to
}

// A change starts a saga of its own, which its owner may read.
func TestChangeShippingInfo(t *testing.T) {
	t.Parallel()
	r := start(t)
	_, token := r.signedIn("ana@example.com")
	_, stranger := r.signedIn("eve@example.com")
	id, orderSaga := r.placed(token)
	var o orderBody
	got := r.do("PUT", "/orders/"+id+"/shipping-info", token, elsewhere(nil)).is(http.StatusAccepted).into(&o)
	saga := got.header.Get("Troupe-Saga")
	if saga == "" || saga == orderSaga || got.header.Get("Location") != "/sagas/"+saga || got.header.Get("Troupe-Event") == "" {
		t.Errorf("headers %v", got.header)
	}
	if o.ShippingInfo["street"] != "2 Lane" || o.Carrier != "pending" {
		t.Errorf("the order goes to %v, its carrier is %s", o.ShippingInfo, o.Carrier)
	}
	facts := r.facts(id)
	last := facts[len(facts)-1]
	if !strings.HasPrefix(last, "orders.ShippingInfoChanged.v1 "+saga) || !strings.HasSuffix(last, `"version":2}`) || strings.Contains(last, "Lane") {
		t.Errorf("the fact is %s", last)
	}
	r.sequence()
	r.do("GET", "/sagas/"+saga, token, nil).is(http.StatusOK)
	r.do("GET", "/sagas/"+saga, stranger, nil).is(http.StatusNotFound)

	r.do("PUT", "/orders/"+id+"/shipping-info", stranger, elsewhere(nil)).is(http.StatusNotFound)
	r.do("PUT", "/orders/nobodys/shipping-info", token, elsewhere(nil)).is(http.StatusNotFound)
	r.do("PUT", "/orders/"+id+"/shipping-info", staffToken, elsewhere(nil)).is(http.StatusForbidden)
	r.do("PUT", "/orders/"+id+"/shipping-info", "", elsewhere(nil)).is(http.StatusUnauthorized)
	for field, value := range map[string]any{"postalCode": " ", "city": nil, "country": strings.Repeat("x", 201), "planet": "Earth", "name": 7} {
		at := r.do("PUT", "/orders/"+id+"/shipping-info", token, elsewhere(map[string]any{field: value})).
			is(http.StatusUnprocessableEntity).locations()
		if len(at) != 1 || at[0] != "body."+field {
			t.Errorf("%s = %v is wrong at %v", field, value, at)
		}
	}
	for _, state := range []string{"shipped", "canceled"} {
		r.have(id, state)
		r.do("PUT", "/orders/"+id+"/shipping-info", token, elsewhere(nil)).is(http.StatusConflict)
	}
	if left := r.facts(id); len(left) > 0 { // since those before went to the log
		t.Errorf("a refused change left %v", left)
	}
}
