//go:build mutations

package play_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"troupe/choreo/sim"
	"troupe/test/simulate/play"
)

// mutations are the safeguards of the engine that a build with the tag mutations
// can do without, one at a time.
var mutations = []string{
	"watermark", "hole healing", "tail check", "forged sequences", "foreign duplicates", "join lock",
	"undo barrier", "undo waits for a call", "undo stops what waits",
	"head of line", "promotion", "promotion lock", "promotion looks again",
	"taken once", "fence", "one outcome", "intent before call", "idempotency key", "ask before giving up", "ask before repeat",
	"late success undone", "derived ids", "lock then emit", "xmin floor", "claim order", "sequenced before published",
	"synchronous sequencing", "per-partition order", "epoch", "refusal after a rewind", "lost timeline",
}

var plays = []struct {
	name string
	run  func(*play.Stage, context.Context, sim.Options) (*sim.Report, error)
}{{"workshop", (*play.Stage).Workshop}, {"product", (*play.Stage).Product}}

// TestEveryMutationIsCaught switches each safeguard off, and wants an invariant,
// and not an error, to say so on some seed.
func TestEveryMutationIsCaught(t *testing.T) {
	stage, err := play.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := stage.Close(); err != nil {
			t.Error(err)
		}
	}()
	const most, sagas = 30, 50
	only := os.Getenv("MUTATION") // one of them, or several behind commas
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "safeguard off\tplay\tseed\tbroken")
	caught, all := 0, 0
	for _, m := range mutations {
		if only != "" && !slices.Contains(strings.Split(only, ","), m) {
			continue
		}
		all++
		found := false
		for seed := uint64(1); seed <= most && !found; seed++ {
			for _, p := range plays {
				r, err := p.run(stage, t.Context(), sim.Options{Seed: seed, Sagas: sagas, Faults: true, Mutation: m, MaxPoints: 60_000})
				if err != nil {
					t.Fatal(err)
				}
				if r.Err != nil {
					t.Logf("%s, %s, seed %d: %v", m, p.name, seed, r.Err)
					continue
				}
				if len(r.Violations) > 0 {
					found = true
					caught++
					fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", m, p.name, seed, strings.Join(r.Invariants(), "; "))
					break
				}
			}
		}
		if !found {
			t.Errorf("nothing noticed that %q was off, in %d seeds", m, most)
			fmt.Fprintf(w, "%s\t-\t-\tNOT CAUGHT\n", m)
		}
		_ = w.Flush()
	}
	fmt.Printf("%d of %d mutations caught\n", caught, all)
}
