package saga

import (
	"slices"
	"time"

	"troupe/choreo"
)

// severity orders outcomes; the worst one is the saga's.
var severity = map[choreo.Outcome]int{choreo.Completed: 1, choreo.Undone: 2, choreo.Failed: 3}

// says is what a final fact says of the saga's outcome. An undo that is owed
// belongs to a saga that was taken back, though something is left to do.
func says(o choreo.Outcome) choreo.Outcome {
	if o == choreo.Owed {
		return choreo.Undone
	}
	return o
}

// world is what a saga is computed from beside its facts.
type world struct {
	flow  *choreo.Flow
	taken watermarks
	open  map[taking]string // states of steps that are not over
	now   time.Time
}

// build computes a saga from its facts, in the order of the log.
func (w *world) build(id string, facts []fact) *Saga {
	first := &facts[0]
	s := &Saga{
		ID: id, StartedBy: startedBy(w.flow, first), StartedAt: first.At, place: first.position,
		Steps: []Step{}, Expected: []Expected{}, Owed: owed(w.flow, facts),
	}
	parked := false
	for i := range facts {
		f := &facts[i]
		s.Steps = append(s.Steps, f.Step)
		if f.At.After(s.lastAt) {
			s.lastAt = f.At
		}
		o, final := w.flow.Final(f.Event)
		if o = says(o); final && severity[o] > severity[s.Outcome] && !superseded(w.flow, facts, f) {
			s.Outcome = o
		}
		for _, c := range w.flow.Consumers() {
			rule := c.Rule(f.Event)
			if rule == nil || rule.View { // no saga waits for a view
				continue
			}
			state, held := w.open[taking{c.Name, f.EventID}]
			if !held && w.taken.has(c.Name, f) {
				continue
			}
			parked = parked || state == "parked"
			s.unheld = s.unheld || !held
			s.Expected = append(s.Expected, expect(rule, f))
		}
	}
	s.Status = status(s, parked, w.now)
	if s.Status == Settled {
		s.SettledAt = &s.lastAt
	}
	return s
}

// startedBy is the command that began the saga, or the consumer of a foreign
// event. A command whose only fact is a domain fact shows by who reacted to it.
func startedBy(flow *choreo.Flow, first *fact) string {
	if c := flow.Consumer(first.Consumer); c != nil {
		for _, r := range c.Rules() {
			if r.Domain && first.CausedBy == "" && slices.Contains(r.Emits, first.Event) {
				return flow.CommandOf(r.On)
			}
		}
	}
	return first.Consumer
}

func expect(rule *choreo.Rule, f *fact) Expected {
	e := Expected{Consumer: rule.Consumer, On: f.EventID}
	if rule.Within > 0 {
		due := f.At.Add(rule.After + rule.Within)
		e.DueAt = &due
	}
	return e
}

// superseded tells whether a failure was not the last word of its step: redone,
// the step has said something else since. A failure ends a round of its step, so
// whatever the same consumer says later about the same event is of another round.
func superseded(flow *choreo.Flow, facts []fact, f *fact) bool {
	c := flow.Consumer(f.Consumer)
	if f.CausedBy == "" || c == nil || !slices.ContainsFunc(c.Rules(), func(r *choreo.Rule) bool { return slices.Contains(r.FailsWith, f.Event) }) {
		return false
	}
	return slices.ContainsFunc(facts, func(later fact) bool {
		return later.Consumer == f.Consumer && later.CausedBy == f.CausedBy && later.At.After(f.At)
	})
}

// owed are the undos whose failure is the last that their consumer said of that
// key.
func owed(flow *choreo.Flow, facts []fact) []Owed {
	list := []Owed{}
	for i, f := range facts {
		o, _ := flow.Final(f.Event)
		c := flow.Consumer(f.Consumer)
		if o != choreo.Owed || c == nil {
			continue
		}
		redone := slices.ContainsFunc(facts[i+1:], func(later fact) bool { return later.Consumer == f.Consumer && later.key == f.key })
		if redone {
			continue
		}
		for _, rule := range c.Rules() {
			if slices.Contains(rule.FailsWith, f.Event) && len(rule.Undoes) > 0 {
				list = append(list, Owed{Undo: f.Consumer, Of: rule.Undoes[0], Reason: f.reason})
				break
			}
		}
	}
	return list
}

func status(s *Saga, parked bool, now time.Time) string {
	due := s.due()
	switch {
	case parked:
		return Parked
	case due != nil && now.After(*due):
		return Overdue
	case len(s.Expected) > 0:
		return Running
	}
	return Settled
}
