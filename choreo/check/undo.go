package check

import (
	"fmt"
	"slices"
)

// failure is a point of a saga from which its steps are to be undone: a forward
// step failed with a fact, or a command that cancels emitted one.
type failure struct {
	start *node
	of    *node // the step that failed, or the command
	fact  string
}

// failures are those of a saga that call for undoing: a failure that is final
// and undoes nothing asks for nothing.
func (g *graph) failures(start *node) (all []failure) {
	for _, n := range g.forward(start) {
		if g.rolledBack(n) {
			continue
		}
		for _, f := range n.fails {
			if _, final := g.flow.Final(f); !final || g.undoes(f) {
				all = append(all, failure{start, n, f})
			}
		}
	}
	return all
}

// cancellations are the points at which a command takes back a saga.
func (g *graph) cancellations(start *node) (all []failure) {
	for _, c := range g.cancels(start) {
		for _, f := range c.emits {
			all = append(all, failure{start, c, f})
		}
	}
	return all
}

// undoes tells whether anything is undone after the fact.
func (g *graph) undoes(fact string) bool {
	return slices.ContainsFunc(g.undoReach(fact, nil), (*node).undo)
}

// due are the command and the steps that are to be undone after a failure:
// what can have run, or can still run, without the failed step's success, and
// the failed step where it is an effect.
func (g *graph) due(f failure) (all []*node) {
	if f.start.command != nil {
		all = append(all, f.start)
	}
	cancels := f.of.command != nil
	can := g.forward(f.start)
	if !cancels {
		can = g.without(f.start, f.of)
	}
	for _, n := range can {
		if n.step() && (n != f.of || n.effect()) {
			all = append(all, n)
		}
	}
	return slices.DeleteFunc(all, func(n *node) bool { return n.left() != "" })
}

// undone is rule 2.
func (g *graph) undone() (all []Finding) {
	for _, start := range g.starts {
		for _, f := range slices.Concat(g.failures(start), g.cancellations(start)) {
			for _, n := range g.due(f) {
				if g.undoneFrom(f.fact, n.name) || g.takesBack(f.of, n) || g.stoppedByOwed(f.fact, n.name) {
					continue
				}
				all = append(all, g.notUndone(f, n))
			}
		}
	}
	return slices.Concat(dedupe(all), g.unevenUndos(), g.strayUndos())
}

// takesBack tells whether the cancelling command undoes the step itself: it
// names it, and it is the command that began, or a reaction on the command's
// own aggregate (its topic) that nobody else undoes.
func (g *graph) takesBack(c, n *node) bool {
	if c.command == nil || !slices.Contains(c.command.CancelsNames, n.name) || n.effect() {
		return false
	}
	if n.command != nil {
		return true
	}
	undone := slices.ContainsFunc(g.nodes, func(u *node) bool { return slices.Contains(u.undoes, n.name) })
	return !undone && !slices.ContainsFunc(n.outputs(), func(f string) bool { return topicOf(f) != topicOf(c.emits[0]) })
}

func (g *graph) notUndone(f failure, n *node) Finding {
	what := fmt.Sprintf("%s is not undone when %s fails with %s", n.name, f.of.name, f.fact)
	if f.of.command != nil {
		what = fmt.Sprintf("%s is not undone when the command %s cancels with %s", n.name, f.of.name, f.fact)
	}
	escape := g.escape(f.fact, n.name)
	path := slices.Concat(g.trail(f.start, f.fact), escape[1:])
	if f.of.command != nil {
		path = slices.Concat([]string{f.of.name}, escape)
	}
	last := path[len(path)-1]
	cure := fmt.Sprintf("let a consumer take it back when %s comes: choreo.On(…, on %s).Undoes(%q)", last, last, n.name)
	for _, u := range g.nodes {
		if slices.Contains(u.undoes, n.name) {
			cure = fmt.Sprintf("let %s, which undoes it, react on this path too, such as to %s", u.name, last)
			break
		}
	}
	if f.of.command != nil && !n.effect() {
		cure += fmt.Sprintf("; or, where the command takes it back itself, name it there: .Cancels(%q)", n.name)
	}
	cure += fmt.Sprintf("; or say on %s why it may stay: .Keeps(\"…\")", n.name)
	if n.effect() {
		cure += " or .Irreversible(\"…\")"
	}
	return Finding{Rule: 2, Line: f.of.line(), What: what, Path: path, Cure: cure, nodes: []*node{f.of}} // n says Keeps
}

// unevenUndos are consumers that undo a step on some of their lines only.
func (g *graph) unevenUndos() (all []Finding) {
	for _, c := range g.flow.Consumers() {
		lines := g.lines(c.Name)
		for _, n := range lines {
			for _, other := range lines {
				for _, u := range other.undoes {
					if !slices.Contains(n.undoes, u) {
						all = append(all, Finding{Rule: 2, Line: n.line(), Path: []string{n.on, n.name}, nodes: []*node{n},
							What: fmt.Sprintf("%s undoes %s on %s, but not on %s", c.Name, u, other.on, n.on),
							Cure: fmt.Sprintf("write .Undoes(%q) on the line of %s", u, n.line())})
					}
				}
			}
		}
	}
	return dedupe(all)
}

// strayUndos undo what no saga that they run in has.
func (g *graph) strayUndos() (all []Finding) {
	for _, n := range g.nodes {
		for _, u := range n.undoes {
			if !slices.ContainsFunc(g.starts, func(s *node) bool { return g.canUndo(s, n, u) }) {
				all = append(all, Finding{Rule: 2, Line: n.line(), Path: []string{n.on, n.name}, nodes: []*node{n},
					What: fmt.Sprintf("%s undoes %s, which no saga has when it comes to %s", n.name, u, n.on),
					Cure: fmt.Sprintf("remove .Undoes(%q), or, where a command starts the undoing, say so on it: .Cancels(%q)", u, u)})
			}
		}
	}
	return all
}

// canUndo tells whether the saga of start has the step, and comes to the undo.
func (g *graph) canUndo(start, undo *node, step string) bool {
	has := start.name == step || slices.ContainsFunc(g.forward(start), func(n *node) bool { return n.name == step })
	if !has {
		return false
	}
	if slices.Contains(g.whole(start), undo) {
		return true
	}
	return slices.ContainsFunc(g.cancels(start), func(c *node) bool { return slices.Contains(g.whole(c), undo) })
}

// dedupe keeps the first of findings that say the same.
func dedupe(all []Finding) (kept []Finding) {
	said := set{}
	for _, f := range all {
		if !said[f.What] {
			said[f.What] = true
			kept = append(kept, f)
		}
	}
	return kept
}
