package payment

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"troupe/sandbox"
	"troupe/sandbox/sandboxtest"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// through is a provider whose calls go through a transport of the test's.
func through(box *sandboxtest.Sandbox, t roundTripper) *Stripe {
	return newStripe(box.PaymentURL(), sandboxtest.PaymentKey, t)
}

// checkMoney fails unless what the provider holds is what the two said, and
// stays so when the capture comes once more.
func checkMoney(t *testing.T, box *sandboxtest.Sandbox, r Request, reversal Reversal, captured error) {
	t.Helper()
	charged, refunded := balance(box, r.Reference)
	if charged != refunded || reversal.Captured.Amount != charged || reversal.Refunded.Amount != refunded {
		t.Errorf("%s: charged %d, refunded %d, said %+v: %s", r.Reference, charged, refunded, reversal, listed(box, r.Reference))
	}
	if captured == nil && charged == 0 || errors.Is(captured, ErrCanceled) && charged != 0 {
		t.Errorf("%s: charged %d, and the capture ended with %v", r.Reference, charged, captured)
	}
	_, late := provider(t, box).Capture(t.Context(), r, "tok_visa")
	if again, refunded := balance(box, r.Reference); again != charged || refunded != charged {
		t.Errorf("%s: a late capture (%v) changed %d to %d", r.Reference, late, charged, again)
	}
}

// TestEveryInterleaving runs a capture beside its reversal in every order that
// their calls can reach the provider in.
func TestEveryInterleaving(t *testing.T) {
	t.Parallel()
	box := sandboxtest.Start(t, func(o *sandbox.Options) { o.SearchLag = time.Hour })
	const most = 8 // calls of a reversal, and one more
	outcomes := map[string]int{}
	// The capture's calls come before the reversal's calls number a ≤ b ≤ c.
	for a := range most {
		for b := a; b < most; b++ {
			for c := b; c < most; c++ {
				r := request(fmt.Sprintf("%d.%d.%d", a, b, c))
				reversal, captured := interleave(t, box, r, []int{a, b, c})
				checkMoney(t, box, r, reversal, captured)
				outcomes[fmt.Sprintf("capture %s, taken %v", outcome(captured), reversal.Taken())]++
			}
		}
	}
	t.Log(outcomes)
	for _, want := range []string{"capture ok, taken true", "capture canceled, taken false"} {
		if outcomes[want] == 0 {
			t.Errorf("never seen: %s", want)
		}
	}
}

// interleave lets one call through at a time: the capture's nth just before
// the reversal's call number at[n].
func interleave(t *testing.T, box *sandboxtest.Sandbox, r Request, at []int) (reversal Reversal, captured error) {
	t.Helper()
	type actor struct {
		call, proceed, done chan struct{}
		ended               bool
	}
	act := func(do func(*Stripe)) *actor {
		a := &actor{call: make(chan struct{}), proceed: make(chan struct{}), done: make(chan struct{})}
		s := through(box, func(r *http.Request) (*http.Response, error) {
			a.call <- struct{}{}
			<-a.proceed
			return http.DefaultTransport.RoundTrip(r)
		})
		go func() {
			defer close(a.done)
			do(s)
		}()
		return a
	}
	// arrived waits until an actor stands before its next call, or has ended.
	arrived := func(a *actor) bool {
		if a.ended {
			return false
		}
		select {
		case <-a.call:
		case <-a.done:
			a.ended = true
		}
		return !a.ended
	}
	capture := act(func(s *Stripe) { _, captured = s.Capture(t.Context(), r, "tok_visa") })
	reverse := act(func(s *Stripe) {
		var err error
		if reversal, err = s.Reverse(t.Context(), r, "undo "+r.Key); err != nil {
			t.Errorf("%s: %v", r.Reference, err)
		}
	})
	atCapture, atReverse := arrived(capture), arrived(reverse)
	for calls := 0; atCapture || atReverse; {
		for len(at) > 0 && atCapture && (at[0] <= calls || !atReverse) {
			at = at[1:]
			capture.proceed <- struct{}{}
			atCapture = arrived(capture)
		}
		if atReverse {
			calls++
			reverse.proceed <- struct{}{}
			atReverse = arrived(reverse)
		} else if atCapture {
			capture.proceed <- struct{}{}
			atCapture = arrived(capture)
		}
	}
	return reversal, captured
}

var errLost = errors.New("the connection broke")

// losing breaks the calls whose numbers it is given: before they reach the
// provider, or when it has answered.
func losing(before, after []int) roundTripper {
	var mu sync.Mutex
	var calls int
	return func(r *http.Request) (*http.Response, error) {
		mu.Lock()
		calls++
		n := calls
		mu.Unlock()
		if slices.Contains(before, n) {
			return nil, errLost
		}
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err == nil && slices.Contains(after, n) {
			_, _ = io.Copy(io.Discard, answer.Body)
			_ = answer.Body.Close()
			return nil, errLost
		}
		return answer, err
	}
}

// TestEveryLostCall breaks a capture at each of its calls, then its reversal at
// each pair of its own, and repeats the reversal until it answers.
func TestEveryLostCall(t *testing.T) {
	t.Parallel()
	for capture := range 6 { // 0 and 1: none; 2, 3: the create; 4, 5: the confirm
		t.Run(fmt.Sprintf("capture at %d", capture), func(t *testing.T) {
			t.Parallel()
			box := sandboxtest.Start(t)
			for first := 1; first <= 12; first++ {
				for second := first; second <= 12; second += 3 {
					loseCalls(t, box, capture, first, second)
				}
			}
		})
	}
}

func loseCalls(t *testing.T, box *sandboxtest.Sandbox, capture, first, second int) {
	t.Helper()
	r := request(fmt.Sprintf("%d.%d", first, second))
	_, captured := through(box, losingHalf(capture)).Capture(t.Context(), r, "tok_visa")
	s := through(box, losingHalf(first, second))
	var reversal Reversal
	err := errLost
	for attempt := 0; err != nil; attempt++ {
		reversal, err = s.Reverse(t.Context(), r, "undo "+r.Key)
		if err != nil && !errors.Is(err, errLost) || attempt > 9 {
			t.Fatalf("%s: %v", r.Reference, err)
		}
	}
	checkMoney(t, box, r, reversal, captured)
}

// losingHalf breaks call n/2: before it for an even n, after it for an odd one.
func losingHalf(points ...int) roundTripper {
	var before, after []int
	for _, n := range points {
		if n%2 == 0 {
			before = append(before, n/2)
		} else {
			after = append(after, n/2)
		}
	}
	return losing(before, after)
}

// TestManyAtOnce lets captures and reversals of the same orders race, each
// repeated until it has a final answer.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	box := sandboxtest.Start(t)
	s := provider(t, box)
	cards := []string{"tok_visa", "tok_slow", "tok_flaky", "tok_timeout_after_charge", "tok_declined"}
	var all sync.WaitGroup
	for n := range 30 {
		r := request(fmt.Sprint(n))
		undone := n%3 != 0
		for range 2 {
			all.Go(func() {
				for outcome := "later"; outcome == "later"; {
					_, err := s.Capture(t.Context(), r, cards[n%len(cards)])
					outcome = final(t, err)
				}
			})
			all.Go(func() {
				for outcome := "later"; undone && outcome == "later"; {
					_, err := s.Reverse(t.Context(), r, "undo "+r.Key)
					outcome = final(t, err)
				}
			})
		}
	}
	all.Wait()
	for n := range 30 {
		r := request(fmt.Sprint(n))
		charged, refunded := balance(box, r.Reference)
		want := r.Amount.Amount
		if n%3 != 0 || cards[n%len(cards)] == "tok_declined" {
			want = 0
		}
		if charged-refunded != want {
			t.Errorf("%s by %s holds %d, want %d: %s", r.Reference, cards[n%len(cards)], charged-refunded, want, listed(box, r.Reference))
		}
	}
}

func final(t *testing.T, err error) string {
	if t.Context().Err() != nil {
		return "given up"
	}
	return outcome(err)
}
