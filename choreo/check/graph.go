package check

import (
	"slices"

	"troupe/choreo"
)

// node is a line: a command, one reaction of a consumer, or what is outside and
// publishes a foreign fact.
type node struct {
	name    string // of the command or consumer
	on      string // the fact reacted to, empty where it starts
	rule    *choreo.Rule
	command *choreo.CommandLine
	emits   []string // on success
	fails   []string
	undoes  []string
	excepts []choreo.Exception
}

// line names the node to a person.
func (n *node) line() string {
	if n.on == "" {
		return n.name
	}
	return n.name + " on " + n.on
}

func (n *node) path() []string {
	if n.on == "" {
		return []string{n.name}
	}
	return []string{n.on, n.name}
}

func (n *node) outputs() []string { return slices.Concat(n.emits, n.fails) }
func (n *node) effect() bool      { return n.rule != nil && n.rule.Effect != nil }
func (n *node) joins() bool       { return n.rule != nil && n.rule.Joins }
func (n *node) undo() bool        { return len(n.undoes) > 0 }

// left is why nobody undoes the step, empty where somebody has to.
func (n *node) left() string {
	switch {
	case n.command != nil:
		return n.command.KeepsReason
	case n.rule == nil:
		return "it is not ours"
	case n.rule.Irreversible != "":
		return n.rule.Irreversible
	}
	return n.rule.Keeps
}

// step tells whether the node does something of its own: what emits nothing is
// a view or keeps books.
func (n *node) step() bool { return n.rule != nil && (len(n.outputs()) > 0 || n.effect()) }

// graph is a flow as nodes between facts.
type graph struct {
	flow   *choreo.Flow
	nodes  []*node
	on     map[string][]*node // reactions to a fact
	by     map[string][]*node // who emits a fact
	starts []*node            // what begins a saga
	sure   map[string]set     // see guaranteed
	smooth map[string]set     // see kind
}

type set map[string]bool

func newGraph(flow *choreo.Flow) *graph {
	g := &graph{flow: flow, on: map[string][]*node{}, by: map[string][]*node{}}
	for _, c := range flow.Commands() {
		n := &node{name: c.Name, command: c, emits: c.EmitsTypes, excepts: c.Excepts}
		g.add(n)
		if len(c.CancelsNames) == 0 {
			g.starts = append(g.starts, n.alternatives()...)
		}
	}
	for _, f := range flow.Facts() {
		if t := f.FactType(); flow.IsForeign(t) {
			n := &node{name: "outside", emits: []string{t}}
			g.add(n)
			g.starts = append(g.starts, n)
		}
	}
	for _, c := range flow.Consumers() {
		for _, r := range c.Rules() {
			if !r.View {
				g.add(&node{name: c.Name, on: r.On, rule: r, emits: r.Emits, fails: r.FailsWith, undoes: r.Undoes, excepts: r.Excepts})
			}
		}
	}
	g.sure = g.guaranteed()
	return g
}

// alternatives are the sagas that a command may begin: it changes one aggregate,
// whose facts are on one topic, so facts on several never come together.
func (n *node) alternatives() (all []*node) {
	for _, f := range n.emits {
		if i := slices.IndexFunc(all, func(a *node) bool { return topicOf(a.emits[0]) == topicOf(f) }); i >= 0 {
			all[i].emits = append(all[i].emits, f)
			continue
		}
		one := *n
		one.emits = []string{f}
		all = append(all, &one)
	}
	return all
}

func (g *graph) add(n *node) {
	g.nodes = append(g.nodes, n)
	if n.on != "" {
		g.on[n.on] = append(g.on[n.on], n)
	}
	for _, f := range n.outputs() {
		if !slices.Contains(g.by[f], n) {
			g.by[f] = append(g.by[f], n)
		}
	}
}

// rolledBack tells whether failing takes back the whole command, so that the
// failure fact is never stored.
func (g *graph) rolledBack(n *node) bool {
	return n.rule != nil && n.rule.Domain && !slices.ContainsFunc(g.by[n.on], func(e *node) bool { return e.command == nil })
}

// stored are the facts of a node that are stored.
func (g *graph) stored(n *node) []string {
	if g.rolledBack(n) {
		return n.emits
	}
	return n.outputs()
}

// forward are the forward steps of the saga that start begins, and its
// bookkeeping, in the order in which they can first run.
func (g *graph) forward(start *node) []*node { return g.reach(start, nil, false) }

// whole is everything that can happen in the saga of start.
func (g *graph) whole(start *node) []*node { return g.reach(start, nil, true) }

// without are the forward nodes of the saga that can run when nothing ever
// comes of the node without.
func (g *graph) without(start, without *node) []*node { return g.reach(start, without, false) }

// reach follows the facts from a node, which is not among the result. A
// consumer that joins runs only when all that it waits for in the saga can come.
func (g *graph) reach(start, without *node, undos bool) []*node {
	var full []*node
	if without != nil {
		full = g.reach(start, nil, undos)
	}
	came, seen := set{}, map[*node]bool{}
	var found []*node
	emit := func(n *node) {
		if n != without {
			for _, f := range g.stored(n) {
				came[f] = true
			}
		}
	}
	emit(start)
	for again := true; again; {
		again = false
		for _, n := range g.nodes {
			if n.on == "" || seen[n] || !came[n.on] || !undos && n.undo() || n.joins() && !joined(n, full, came) {
				continue
			}
			seen[n], again = true, true
			found = append(found, n)
			emit(n)
		}
	}
	return found
}

// joined tells whether all that n's consumer waits for in the full saga has
// come.
func joined(n *node, full []*node, came set) bool {
	for _, other := range full {
		if other.name == n.name && !came[other.on] {
			return false
		}
	}
	return true
}

// after tells whether b can run only once a has succeeded, in the saga of start.
func (g *graph) after(start, a, b *node) bool {
	return a != b && !slices.Contains(g.without(start, a), b)
}

// cancels are the commands that cancel something of the saga of start.
func (g *graph) cancels(start *node) (all []*node) {
	names := set{start.name: true}
	for _, n := range g.forward(start) {
		names[n.name] = true
	}
	for _, n := range g.nodes {
		if n.command != nil && g.cancelsSaga(n.command, start, names) {
			all = append(all, n)
		}
	}
	return all
}

// cancelsSaga tells whether the command cancels the saga of start: it names the
// command that starts it, or, naming no such command, a step of it.
func (g *graph) cancelsSaga(c *choreo.CommandLine, start *node, names set) bool {
	if slices.Contains(c.CancelsNames, start.name) {
		return true
	}
	hit := false
	for _, name := range c.CancelsNames {
		if g.flow.Command(name) != nil {
			return false
		}
		hit = hit || names[name]
	}
	return hit
}

// undoReach are the nodes that can run from a fact on, undos and what follows.
func (g *graph) undoReach(fact string, without *node) []*node {
	return g.reach(&node{emits: []string{fact}}, without, true)
}
