package choreo_test

import (
	"slices"
	"strings"
	"testing"

	"troupe/choreo"
)

func TestWhatComesFromOutsideAndWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	flow, err := choreo.NewFlow(choreo.Foreign(packed{}), choreo.Request(recalled{}), choreo.Command("stamp").Emits(stamped{}))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		fact             choreo.Fact
		foreign, request bool
	}{{packed{}, true, false}, {recalled{}, false, true}, {stamped{}, false, false}} {
		typ := c.fact.FactType()
		if !flow.Knows(typ) || flow.IsForeign(typ) != c.foreign || flow.IsRequest(typ) != c.request {
			t.Errorf("%s: known %v, foreign %v, a request %v", typ, flow.Knows(typ), flow.IsForeign(typ), flow.IsRequest(typ))
		}
	}
	if topics := flow.Topics(); !slices.Equal(topics, []string{"parcels"}) {
		t.Errorf("topics are %v: what comes from outside needs one too", topics)
	}
	for name, line := range map[string]choreo.Line{"foreign": choreo.Foreign(secret{}), "request": choreo.Request(secret{})} {
		if _, err := choreo.NewFlow(choreo.Domain(secret{}), line); err == nil || !strings.Contains(err.Error(), "domain fact") {
			t.Errorf("a domain fact that is %s: %v", name, err)
		}
	}
}
