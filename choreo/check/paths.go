package check

import (
	"maps"
	"slices"
)

// guaranteed tells, for each fact, what surely happens once it has: the facts
// that come ("f:…") and the names that are undone ("u:…"), whatever each
// reaction decides. A reaction decides between the facts that it declares; all
// reactions to a fact run. The undo of a step counts also where it fails: it is
// owed then. It is the greatest such table, so that an endless cycle, which is
// another rule's matter, promises everything.
func (g *graph) guaranteed() map[string]set { return g.fix((*node).outputs) }

// fix is guaranteed, where outcomes are what a reaction decides between.
func (g *graph) fix(outcomes func(*node) []string) map[string]set {
	all := set{}
	facts := set{}
	for _, n := range g.nodes {
		for _, f := range n.outputs() {
			all["f:"+f], facts[f] = true, true
		}
		if n.on != "" {
			all["f:"+n.on], facts[n.on] = true, true
		}
		for _, u := range n.undoes {
			all["u:"+u] = true
		}
	}
	sure := map[string]set{}
	for f := range facts {
		sure[f] = maps.Clone(all)
	}
	for again := true; again; {
		again = false
		for f := range facts {
			next := g.promise(f, sure, outcomes)
			if len(next) != len(sure[f]) {
				sure[f], again = next, true
			}
		}
	}
	return sure
}

// promise is one round of fix for one fact.
func (g *graph) promise(fact string, sure map[string]set, outcomes func(*node) []string) set {
	s := set{"f:" + fact: true}
	before := sure[fact]
	for _, n := range g.on[fact] {
		if n.joins() && slices.ContainsFunc(g.lines(n.name), func(o *node) bool { return !before["f:"+o.on] }) {
			continue // something that it waits for may not come
		}
		maps.Copy(s, g.contribution(n, sure, outcomes))
	}
	return s
}

// contribution is what surely comes of one reaction.
func (g *graph) contribution(n *node, sure map[string]set, outcomes func(*node) []string) set {
	s := set{}
	for _, u := range n.undoes {
		s["u:"+u] = true
	}
	var common set
	for _, o := range outcomes(n) {
		if common == nil {
			common = maps.Clone(sure[o])
			continue
		}
		maps.DeleteFunc(common, func(item string, _ bool) bool { return !sure[o][item] })
	}
	maps.Copy(s, common)
	return s
}

func (g *graph) lines(consumer string) (all []*node) {
	for _, n := range g.nodes {
		if n.name == consumer {
			all = append(all, n)
		}
	}
	return all
}

// undoneFrom tells whether the name is undone on every path from the fact.
func (g *graph) undoneFrom(fact, name string) bool { return g.sure[fact]["u:"+name] }

// escape is a path from a fact on which the name is not undone; where nothing
// that follows undoes it, the fact alone.
func (g *graph) escape(fact, name string) []string {
	path := []string{fact}
	if !slices.ContainsFunc(g.undoReach(fact, nil), func(n *node) bool { return slices.Contains(n.undoes, name) }) {
		return path
	}
	for seen := (set{fact: true}); ; {
		var consumer, next string
		for _, n := range g.on[fact] {
			for _, o := range n.outputs() {
				if !g.undoneFrom(o, name) && !seen[o] && (next == "" || n.undo()) {
					consumer, next = n.name, o
				}
			}
		}
		if next == "" {
			return path
		}
		path, fact = append(path, consumer, next), next
		seen[next] = true
	}
}

// trail is a shortest path from a start to a fact, by the facts between.
func (g *graph) trail(start *node, fact string) []string {
	type hop struct {
		fact string
		path []string
	}
	seen := set{}
	var queue []hop
	for _, f := range start.emits {
		queue = append(queue, hop{f, []string{start.name, f}})
	}
	for len(queue) > 0 {
		h := queue[0]
		queue = queue[1:]
		if h.fact == fact {
			return h.path
		}
		if seen[h.fact] {
			continue
		}
		seen[h.fact] = true
		for _, n := range g.on[h.fact] {
			for _, f := range n.outputs() {
				queue = append(queue, hop{f, append(slices.Clone(h.path), n.name, f)})
			}
		}
	}
	return []string{start.name, fact}
}
