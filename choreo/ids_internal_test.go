package choreo

import (
	"testing"
	"time"
)

// Ids that a reaction derives never change: a later binary that runs it again,
// as in a replay, must make those that are in the log.
func TestDerivedIDs(t *testing.T) {
	for _, of := range []struct{ id, source, want string }{
		{"0190b0f0-1234-7678-9abc-def012345678", "/troupe/d/1", "0190b0f0-1234-8be6-ad6e-54772b97462f"},
		{"0190b0f0-1234-7678-9abc-def012345678", "/elsewhere", "0190b0f0-1234-8e3a-8884-50b15946f5c7"},
		{"order-7", "/troupe/d/1", "018bcfe5-6800-862b-a50c-feee51332648"},
		{"order-7", "/elsewhere", "018bcfe5-6800-8c2d-9fa0-68af58c411fd"},
		{"a \"quoted\" \\ name", "/troupe/d/1", "018bcfe5-6800-8294-bcaa-9b661a9c468c"},
		{"a \"quoted\" \\ name", "/elsewhere", "018bcfe5-6800-858e-9be2-74f5eb3824c9"},
		{"größe\x7f", "/troupe/d/1", "018bcfe5-6800-8934-9688-8236b1c1f302"},
		{"größe\x7f", "/elsewhere", "018bcfe5-6800-80f8-9c86-79e013bbb9e6"},
		{"", "/troupe/d/1", "018bcfe5-6800-831f-9410-7836fd2c963f"},
		{"", "/elsewhere", "018bcfe5-6800-8e3f-a608-1b22b8d03795"},
	} {
		cause := &Meta{ID: of.id, Source: of.source, Time: time.UnixMilli(1_700_000_000_000)}
		if got := derivedID("/troupe/d/2", cause, "book", "a.B.v1", 1, 2); got != of.want {
			t.Errorf("of %q of %s comes %s, not %s", of.id, of.source, got, of.want)
		}
	}
}
