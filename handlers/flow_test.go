package handlers_test

import (
	"os"
	"regexp"
	"testing"

	"troupe/choreo"
	"troupe/choreo/check"
	"troupe/handlers"
	"troupe/schemas"
)

var options = check.Options{Schema: schemas.Has, Versions: schemas.Versions}

func flow(t *testing.T) *choreo.Flow {
	t.Helper()
	f, err := handlers.Flow(handlers.Outside{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestTheFlowIsSound(t *testing.T) {
	for _, f := range check.Flow(flow(t), options).Findings {
		t.Error(f)
	}
}

// Every .Undoes, .GivesUp and .Within of the flow is missed when it is taken
// away, whichever one it is. The source of the flow says how many there are.
func TestEveryUndoGivingUpAndDeadlineIsMissed(t *testing.T) {
	source, err := os.ReadFile("flow.go")
	if err != nil {
		t.Fatal(err)
	}
	for option, without := range map[string]func(*choreo.Rule) bool{
		"Undoes":  func(r *choreo.Rule) bool { had := len(r.Undoes) > 0; r.Undoes = nil; return had },
		"GivesUp": func(r *choreo.Rule) bool { had := r.GiveUp != nil; r.GiveUp, r.GiveUpAfter = nil, 0; return had },
		"Within":  func(r *choreo.Rule) bool { had := r.Within > 0; r.Within = 0; return had },
	} {
		written, taken := len(regexp.MustCompile(`\b`+option+`\(`).FindAll(source, -1)), 0
		for _, c := range flow(t).Consumers() {
			for i, r := range c.Rules() {
				f := flow(t)
				if !without(f.Consumer(c.Name).Rules()[i]) {
					continue
				}
				taken++
				if found := check.Flow(f, options).Findings; len(found) == 0 {
					t.Errorf(".%s(…) of %s on %s is gone, and nothing is found", option, c.Name, r.On)
				}
			}
		}
		if taken < written { // a helper may write one for several lines
			t.Errorf("%d of %d .%s(…) were taken away", taken, written, option)
		}
		t.Logf(".%s(…): %d missed, %d in the source", option, taken, written)
	}
}
