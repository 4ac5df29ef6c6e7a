package check

import (
	"slices"
	"time"

	"troupe/choreo"
)

// Saga is what a flow says of the saga that a command, or a foreign fact,
// begins.
type Saga struct {
	Name  string `json:"saga"` // the command, or "outside"
	Steps []Step `json:"steps"`
	// Pivot are the lines that decide: the last ones whose failure has the saga
	// undone. Past them it completes. Empty where nothing has it undone.
	Pivot []string `json:"pivot"`
	// Success is the sum of deadlines along the longest path on which nothing
	// fails, WorstCase along the longest of all, nil where a cycle has no end.
	Success   *Path     `json:"success"`
	WorstCase *Path     `json:"worstCase"`
	Undoing   []Undoing `json:"undoing"`
}

// Path is a way through a saga and how long it may take by its deadlines.
type Path struct {
	Seconds float64  `json:"seconds"`
	Lines   []string `json:"lines"`
}

// Duration is the path's time.
func (p *Path) Duration() time.Duration { return time.Duration(p.Seconds * float64(time.Second)) }

// Step is a line of a saga.
type Step struct {
	Consumer      string   `json:"consumer"`
	On            string   `json:"on"` // empty for the command
	Kind          Kind     `json:"kind"`
	Effect        bool     `json:"effect"` // it talks to the outside
	Emits         []string `json:"emits"`
	FailsWith     []string `json:"failsWith"`
	Undoes        []string `json:"undoes"`
	UndoneBy      []string `json:"undoneBy"`
	Reason        string   `json:"reason,omitempty"` // why nobody undoes it
	WithinSeconds float64  `json:"withinSeconds"`    // after and within, 0 where nothing is said
}

// Within is by when the step is expected after its fact.
func (s Step) Within() time.Duration { return time.Duration(s.WithinSeconds * float64(time.Second)) }

// Kind is what a line does for its saga.
type Kind string

// The kinds of lines.
const (
	Starts  Kind = "starts"
	Cancels Kind = "cancels"
	Forward Kind = "forward"
	Undo    Kind = "undo"
	Follows Kind = "follows" // an undo or a cancellation
	Books   Kind = "books"   // emits nothing
)

// Undoing is what happens from one point of failure on.
type Undoing struct {
	Of    string   `json:"of"`    // the step that failed, or the command that cancels
	With  string   `json:"with"`  // the fact
	Order []Undone `json:"order"` // what is undone, in the order in which it is
	Ends  []string `json:"ends"`  // the final facts that may come of it
	Time  *Path    `json:"time"`  // the longest way from the fact on
}

// Undone is an undo, in its turn. Those of one Turn run side by side.
type Undone struct {
	Turn     int      `json:"turn"` // from 1
	Consumer string   `json:"consumer"`
	On       string   `json:"on"`
	Undoes   []string `json:"undoes"`
}

// Sagas tells of every saga of a flow, in the order of the flow.
func Sagas(flow *choreo.Flow) []Saga {
	g := newGraph(flow)
	all := []Saga{}
	for _, start := range g.starts {
		all = append(all, g.saga(start))
	}
	return all
}

func (g *graph) saga(start *node) Saga {
	s := Saga{Name: start.name, Pivot: []string{}, Undoing: []Undoing{}}
	forward := g.forward(start)
	s.Steps = append(s.Steps, g.step(start, Starts))
	for _, n := range g.whole(start) {
		s.Steps = append(s.Steps, g.step(n, g.kindOf(n, forward)))
	}
	for _, c := range g.cancels(start) {
		s.Steps = append(s.Steps, g.step(c, Cancels))
		for _, n := range g.whole(c) {
			if step := g.step(n, g.kindOf(n, forward)); !slices.ContainsFunc(s.Steps, func(o Step) bool { return o.Consumer == step.Consumer && o.On == step.On }) {
				s.Steps = append(s.Steps, step)
			}
		}
	}
	failures := g.failures(start)
	for _, f := range failures {
		last := !slices.ContainsFunc(failures, func(o failure) bool { return g.after(start, f.of, o.of) })
		if name := f.of.line(); last && !slices.Contains(s.Pivot, name) {
			s.Pivot = append(s.Pivot, name)
		}
	}
	s.Success = g.longest(start.emits, func(n *node) []string {
		if n.undo() {
			return nil
		}
		return n.emits
	})
	s.WorstCase = g.longest(start.emits, g.stored)
	for _, f := range slices.Concat(failures, g.cancellations(start)) {
		s.Undoing = append(s.Undoing, g.undoing(f))
	}
	return s
}

func (g *graph) step(n *node, k Kind) Step {
	s := Step{Consumer: n.name, On: n.on, Kind: k, Effect: n.effect(), Emits: list(n.emits), FailsWith: list(n.fails), Undoes: list(n.undoes),
		UndoneBy: []string{}, Reason: n.left(), WithinSeconds: n.deadline().Seconds()}
	for _, u := range g.nodes {
		if (slices.Contains(u.undoes, n.name) || g.takesBack(u, n)) && !slices.Contains(s.UndoneBy, u.name) {
			s.UndoneBy = append(s.UndoneBy, u.name)
		}
	}
	return s
}

func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func (g *graph) kindOf(n *node, forward []*node) Kind {
	switch {
	case n.undo():
		return Undo
	case !n.step():
		return Books
	case !slices.Contains(forward, n):
		return Follows
	}
	return Forward
}

// deadline is how long after its fact the node is expected to have run.
func (n *node) deadline() time.Duration {
	if n.rule == nil {
		return 0
	}
	return n.rule.After + n.rule.Within
}

// longest is the way from these facts on whose deadlines add up to most, nil
// where a cycle has no end.
func (g *graph) longest(facts []string, outcomes func(*node) []string) *Path {
	known, under := map[string]*Path{}, set{}
	var from func(fact string) *Path
	from = func(fact string) *Path {
		if p, ok := known[fact]; ok {
			return p
		}
		if under[fact] {
			return nil
		}
		under[fact] = true
		defer delete(under, fact)
		best := &Path{Lines: []string{}}
		for _, n := range g.on[fact] {
			rest := &Path{}
			for _, o := range outcomes(n) {
				p := from(o)
				if p == nil {
					return nil
				}
				if p.Seconds > rest.Seconds {
					rest = p
				}
			}
			if total := n.deadline().Seconds() + rest.Seconds; total > best.Seconds {
				best = &Path{Seconds: total, Lines: slices.Clone(rest.Lines)}
				if n.deadline() > 0 {
					best.Lines = append([]string{n.line()}, rest.Lines...)
				}
			}
		}
		known[fact] = best
		return best
	}
	best := &Path{Lines: []string{}}
	for _, f := range facts {
		p := from(f)
		if p == nil {
			return nil
		}
		if p.Seconds > best.Seconds {
			best = p
		}
	}
	return best
}

// undoing follows a failure to its ends.
func (g *graph) undoing(f failure) Undoing {
	u := Undoing{Of: f.of.line(), With: f.fact, Order: []Undone{}, Ends: []string{}, Time: g.longest([]string{f.fact}, g.stored)}
	run := g.undoReach(f.fact, nil)
	facts := []string{f.fact}
	turn := map[string]int{}
	for again := true; again; {
		again = false
		for _, n := range run {
			t := turn[n.on]
			if n.undo() {
				t++
			}
			for _, o := range n.outputs() {
				if !slices.Contains(facts, o) {
					facts = append(facts, o)
				}
				if turn[o] < t && t <= len(g.nodes) {
					turn[o], again = t, true
				}
			}
		}
	}
	for _, n := range run {
		if n.undo() {
			u.Order = append(u.Order, Undone{Turn: turn[n.on] + 1, Consumer: n.name, On: n.on, Undoes: n.undoes})
		}
	}
	slices.SortStableFunc(u.Order, func(a, b Undone) int { return a.Turn - b.Turn })
	for _, t := range facts {
		if _, final := g.flow.Final(t); final {
			u.Ends = append(u.Ends, t)
		}
	}
	return u
}
