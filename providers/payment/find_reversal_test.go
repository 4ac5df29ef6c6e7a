package payment

import (
	"testing"

	"troupe/sandbox/sandboxtest"
)

func TestFindReversal(t *testing.T) {
	t.Parallel()
	s := provider(t, sandboxtest.Start(t))
	capture := func(r Request) {
		if _, err := s.Capture(t.Context(), r, "tok_visa"); err != nil {
			t.Fatal(err)
		}
	}
	reverse := func(r Request) {
		if _, err := s.Reverse(t.Context(), r, "undo "+r.Key); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		before          func(Request)
		found           bool
		taken, returned int64
	}{
		"nothing was begun":    {func(Request) {}, false, 0, 0},
		"a charge":             {capture, false, 0, 0},
		"a refunded charge":    {func(r Request) { capture(r); reverse(r) }, true, request("").Amount.Amount, request("").Amount.Amount},
		"a canceled one":       {reverse, true, 0, 0},
		"begun, not confirmed": {func(r Request) { _, _ = s.create(t.Context(), r) }, false, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := request(name)
			r.Reference = name
			c.before(r)
			got, found, err := s.FindReversal(t.Context(), name)
			if err != nil || found != c.found || got.Captured.Amount != c.taken || got.Refunded.Amount != c.returned ||
				(got.RefundID != "") != (c.returned > 0) {
				t.Errorf("found %t, %+v, %v", found, got, err)
			}
		})
	}
}
