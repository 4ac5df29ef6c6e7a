package play_test

import (
	"context"
	"testing"

	"troupe/choreo/sim"
	"troupe/test/simulate/play"
)

// A few sagas of each play, on some seeds: `make simulate` is the real thing. The
// same seed tells the same story.
func TestASimulationHoldsAndRepeats(t *testing.T) {
	t.Parallel()
	stage, err := play.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := stage.Close(); err != nil {
			t.Error(err)
		}
	}()
	for name, run := range map[string]func(*play.Stage, context.Context, sim.Options) (*sim.Report, error){
		"product": (*play.Stage).Product, "workshop": (*play.Stage).Workshop,
	} {
		digests := map[uint64]string{}
		for _, seed := range []uint64{1, 2, 1} {
			r, err := run(stage, t.Context(), sim.Options{Seed: seed, Sagas: 10, Faults: true})
			if err != nil {
				t.Fatal(err)
			}
			if !r.OK() {
				r.Write(t.Output())
				t.Errorf("%s, seed %d: %v", name, seed, r.Invariants())
			}
			if before := digests[seed]; before != "" && before != r.Digest {
				t.Errorf("%s, seed %d: digest %s, and the first time %s", name, seed, r.Digest, before)
			}
			digests[seed] = r.Digest
		}
		if digests[1] == digests[2] {
			t.Errorf("%s: two seeds tell one story", name)
		}
	}
}
