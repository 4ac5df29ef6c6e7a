package saga

import (
	"encoding/json"
	"slices"
	"time"

	"troupe/choreo"
)

// severity orders outcomes; the worst one is the saga's.
var severity = map[choreo.Outcome]int{choreo.Completed: 1, choreo.Undone: 2, choreo.Failed: 3}

// build computes a saga from its facts, in the order of the log.
func build(flow *choreo.Flow, id string, facts []fact, taken map[taking]bool, open map[taking]openStep, now time.Time) *Saga {
	s := &Saga{
		ID: id, StartedBy: startedBy(flow, facts[0]), StartedAt: facts[0].At, first: facts[0].data,
		Steps: []Step{}, Expected: []Expected{}, Owed: []Owed{},
	}
	parked := false
	for _, f := range facts {
		s.Steps = append(s.Steps, f.Step)
		if o, final := flow.Final(f.Event); final && severity[o] > severity[choreo.Outcome(s.Outcome)] {
			s.Outcome = string(o)
		}
		for _, c := range flow.Consumers() {
			rule := c.Rule(f.Event)
			if rule == nil {
				continue
			}
			t := taking{c.Name, f.EventID}
			step, held := open[t]
			if taken[t] && (!held || step.state == "gave-up") {
				continue
			}
			parked = parked || step.state == "parked"
			s.Expected = append(s.Expected, expect(rule, f))
		}
	}
	s.Owed = owed(flow, facts)
	s.Status = status(s, parked, now)
	if s.Status == "settled" {
		at := facts[len(facts)-1].At
		s.SettledAt = &at
	}
	return s
}

// startedBy is the command that began the saga, or the consumer of a foreign
// event. A command whose only fact is a domain fact shows by who reacted to it.
func startedBy(flow *choreo.Flow, first fact) string {
	if c := flow.Consumer(first.Consumer); c != nil {
		for _, r := range c.Rules() {
			if r.Domain && first.CausedBy == "" && slices.Contains(r.Emits, first.Event) {
				return flow.CommandOf(r.On)
			}
		}
	}
	return first.Consumer
}

func expect(rule *choreo.Rule, f fact) Expected {
	e := Expected{Consumer: rule.Consumer, On: f.EventID}
	if rule.Within > 0 {
		due := f.At.Add(rule.After + rule.Within)
		e.DueAt = &due
	}
	return e
}

// owed are the undos whose failure is the last that their consumer said.
func owed(flow *choreo.Flow, facts []fact) []Owed {
	list := []Owed{}
	for i, f := range facts {
		o, _ := flow.Final(f.Event)
		c := flow.Consumer(f.Consumer)
		if o != choreo.Owed || c == nil {
			continue
		}
		redone := slices.ContainsFunc(facts[i+1:], func(later fact) bool { return later.Consumer == f.Consumer })
		if redone {
			continue
		}
		for _, rule := range c.Rules() {
			if slices.Contains(rule.FailsWith, f.Event) && len(rule.Undoes) > 0 {
				list = append(list, Owed{Undo: f.Consumer, Of: rule.Undoes[0], Reason: reason(f.data)})
				break
			}
		}
	}
	return list
}

func status(s *Saga, parked bool, now time.Time) string {
	late := slices.ContainsFunc(s.Expected, func(e Expected) bool { return e.DueAt != nil && now.After(*e.DueAt) })
	switch {
	case parked:
		return "parked"
	case late:
		return "overdue"
	case len(s.Expected) > 0:
		return "running"
	}
	return "settled"
}

func reason(data []byte) string {
	var f struct {
		Reason string `json:"reason"`
	}
	_ = json.Unmarshal(data, &f) // a fact without a reason has none to show
	return f.Reason
}
