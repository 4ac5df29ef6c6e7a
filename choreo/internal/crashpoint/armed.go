//go:build crashpoints

// Package crashpoint lets a test kill the process at a named point of a consumer.
package crashpoint

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// The points at which a process may die.
const (
	BeforeIntent = "before-intent" // a step is due, and nothing is written yet
	AfterIntent  = "after-intent"  // the intent is committed, the call not made
	AfterCall    = "after-call"    // the call is made, its result not stored
	BeforeCommit = "before-commit" // everything is written, and not committed
	AfterCommit  = "after-commit"  // committed, and nobody was told
	BeforeMark   = "before-mark"   // the batch is done, its offsets not marked
)

var armed = sync.OnceValue(func() map[string]*charge {
	charges := map[string]*charge{}
	for spec := range strings.SplitSeq(os.Getenv("TROUPE_CRASH_AT"), ",") {
		if spec == "" {
			continue
		}
		parts := strings.Split(spec, ":")
		c := &charge{spec: spec}
		c.left.Store(1)
		if len(parts) == 3 {
			n, err := strconv.ParseInt(parts[2], 10, 64)
			if err != nil || n < 1 {
				parts = nil
			}
			c.left.Store(n)
		}
		if len(parts) < 2 || len(parts) > 3 {
			panic(fmt.Sprintf("TROUPE_CRASH_AT is a list of consumer:point or consumer:point:N, not %q", spec))
		}
		at := parts[0] + ":" + parts[1]
		c.next, charges[at] = charges[at], c
	}
	return charges
})

// charge is where the process dies, when it has come there so many times.
type charge struct {
	spec string
	left atomic.Int64
	next *charge // at the same point, at another time
}

// At kills the process as `kill -9` would, where TROUPE_CRASH_AT names this point
// of this consumer: as consumer:point, or consumer:point:N for the N-th time that
// the process comes there, or several of them behind commas.
func At(consumer, point string) {
	for c := armed()[consumer+":"+point]; c != nil; c = c.next {
		if c.left.Add(-1) == 0 {
			fmt.Fprintf(os.Stderr, "crashpoint: %s\n", c.spec)
			if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
				panic(err)
			}
			select {} // until it takes effect
		}
	}
}
