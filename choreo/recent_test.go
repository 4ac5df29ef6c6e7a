package choreo

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestRecent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r Recent
		is := func(name, want string) {
			t.Helper()
			if got := r.Last(name); got != want {
				t.Errorf("the last of %s is %q, want %q", name, got, want)
			}
		}
		is("a", "")
		r.Note("a", "e1")
		r.Note("a", "e2")
		is("a", "e2")
		<-time.After(recently) // by the clock of the bubble
		is("a", "e2")
		r.Note("b", "e3")
		<-time.After(recently) // by the clock of the bubble
		is("a", "")
		is("b", "e3")
		<-time.After(3 * recently) // by the clock of the bubble
		is("b", "")
		for n := range 3 * mostRecent {
			r.Note(fmt.Sprint(n), "e")
		}
		if len(r.now)+len(r.old) > 2*mostRecent {
			t.Errorf("%d are remembered", len(r.now)+len(r.old))
		}
		is(fmt.Sprint(3*mostRecent-1), "e")
	})
}
