package steps

import (
	"errors"
	"testing"
	"time"

	"troupe/choreo"
)

var errDown = errors.New("no answer")

type patience struct{ error }

func (patience) RetryAfter() time.Duration { return 10 * time.Minute }

func TestACircuitOpensTriesAndCloses(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	g := newGate("oven", 2, func() time.Time { return now })
	call := func(id int64, err error) change {
		t.Helper()
		if !g.enter(id, false) {
			t.Fatalf("step %d is not let through", id)
		}
		c, _ := g.report(id, err)
		g.leave(id)
		return c
	}
	shut := func(want time.Duration) {
		t.Helper()
		n, wait := g.room()
		if n != 0 || wait != want || g.enter(99, false) {
			t.Fatalf("room for %d, then in %v; want none for %v", n, wait, want)
		}
	}
	for range 20 { // one step that fails for itself
		if c := call(1, errDown); c != unchanged {
			t.Fatal("one step alone opened the circuit")
		}
	}
	call(2, choreo.Refused(errDown)) // an answer, all the same
	for i := range int64(4) {
		call(i, errDown)
	}
	if c := call(4, errDown); c != opened {
		t.Fatalf("five failures of five steps: %v", c)
	}
	shut(time.Second)
	now = now.Add(time.Second)
	if n, _ := g.room(); n != 1 || g.enter(5, true) {
		t.Error("one step may try, and none that only asks")
	}
	if !g.enter(6, false) || g.enter(7, false) {
		t.Error("exactly one tries")
	}
	g.leave(6) // it found nothing to call
	if c := call(7, errDown); c != stillOpen {
		t.Fatal("the try failed")
	}
	shut(2 * time.Second)
	now = now.Add(2 * time.Second)
	call(8, patience{errDown})
	shut(10 * time.Minute)
	now = now.Add(10 * time.Minute)
	for want := 8 * time.Second; want < 2*mostPause; want *= 2 {
		call(9, errDown)
		shut(min(want, mostPause))
		now = now.Add(mostPause)
	}
	if c := call(10, nil); c != closed {
		t.Fatal("an answer closes it")
	}
	if n, _ := g.room(); n != 2 || !g.enter(1, false) || !g.enter(2, true) || g.enter(3, false) {
		t.Error("as many as the limit go through again")
	}
}
