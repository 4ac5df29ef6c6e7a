package check

import (
	"fmt"
	"slices"

	"troupe/choreo"
)

func topicOf(factType string) string { return choreo.Topic(factType) }

// undoOrder is rule 3.
func (g *graph) undoOrder() (all []Finding) {
	for _, n := range g.nodes {
		for _, f := range n.fails {
			if o, _ := g.flow.Final(f); n.undo() && o != choreo.Owed {
				all = append(all, Finding{Rule: 3, Line: n.line(), Path: []string{n.on, n.name, f}, nodes: []*node{n},
					What: fmt.Sprintf("the undo %s may fail with %s, which is not marked as owed", n.name, f),
					Cure: fmt.Sprintf("write choreo.Final(%s, choreo.Owed)", structOf(f))})
			}
		}
	}
	for _, start := range g.starts {
		for _, f := range slices.Concat(g.failures(start), g.cancellations(start)) {
			all = append(all, g.reversed(f)...)
			for _, n := range g.due(f) {
				if !g.undoneFrom(f.fact, n.name) && g.stoppedByOwed(f.fact, n.name) {
					all = append(all, g.leftByOwed(f, n))
				}
			}
		}
	}
	return dedupe(all)
}

// reversed are pairs of effects that undo in the order in which things were
// done: what was done first has to be undone last.
func (g *graph) reversed(f failure) (all []Finding) {
	forward := g.forward(f.start)
	run := g.undoReach(f.fact, nil)
	for _, first := range run {
		for _, second := range run {
			if first.name == second.name || !first.effect() || !second.effect() || !first.undo() || !second.undo() {
				continue
			}
			if !slices.Contains(g.undoReach(f.fact, second), first) {
				continue // the undo of what was done later comes before
			}
			for _, a := range forward {
				for _, b := range forward {
					if slices.Contains(first.undoes, a.name) && slices.Contains(second.undoes, b.name) && g.after(f.start, a, b) {
						all = append(all, Finding{Rule: 3, Line: first.line(), nodes: []*node{first, second},
							Path: slices.Concat(g.pathOf(f), g.trail(&node{name: f.fact, emits: []string{f.fact}}, first.on)[2:], []string{first.name}),
							What: fmt.Sprintf("%s can undo %s before %s has undone %s, which was done after it", first.name, a.name, second.name, b.name),
							Cure: fmt.Sprintf("let %s react to what comes of %s", first.name, second.name)})
					}
				}
			}
		}
	}
	return all
}

// pathOf leads to a failure.
func (g *graph) pathOf(f failure) []string {
	if f.of.command != nil {
		return []string{f.of.name, f.fact}
	}
	return g.trail(f.start, f.fact)
}

// stoppedByOwed tells whether the name is undone on every path from the fact on
// which no undo fails.
func (g *graph) stoppedByOwed(fact, name string) bool {
	return g.kind(fact)["u:"+name]
}

// kind is guaranteed, where no undo ever fails.
func (g *graph) kind(fact string) set {
	if g.smooth == nil {
		g.smooth = g.fix(func(n *node) []string {
			if n.undo() && len(n.emits) > 0 {
				return n.emits
			}
			return n.outputs()
		})
	}
	return g.smooth[fact]
}

func (g *graph) leftByOwed(f failure, n *node) Finding {
	escape := g.escape(f.fact, n.name)
	last := escape[len(escape)-1]
	return Finding{Rule: 3, Line: f.of.line(), nodes: []*node{f.of, n}, Path: slices.Concat(g.pathOf(f), escape[1:]),
		What: n.name + " is not undone when an undo before it fails",
		Cure: fmt.Sprintf("let the consumer that undoes it react to %s too, or let it undo %s", last, n.name)}
}

// pointOfNoReturn is rule 4.
func (g *graph) pointOfNoReturn() (all []Finding) {
	for _, start := range g.starts {
		failures := g.failures(start)
		for _, n := range g.forward(start) {
			if n.rule.Irreversible == "" {
				continue
			}
			for _, f := range failures {
				if f.of.name == n.name || !slices.Contains(g.without(start, f.of), n) {
					continue
				}
				all = append(all, Finding{Rule: 4, Line: n.line(), nodes: []*node{n, f.of}, Path: g.trail(start, f.fact),
					What: fmt.Sprintf("%s cannot be undone, and %s may fail with %s after it or beside it", n.name, f.of.name, f.fact),
					Cure: fmt.Sprintf("let %s react to what comes of the success of %s", n.name, f.of.name)})
			}
		}
	}
	return dedupe(all)
}
