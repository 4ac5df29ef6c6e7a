package check

import (
	"fmt"
	"slices"
	"strings"

	"troupe/choreo"
)

// structOf names the struct of a fact type as a flow would.
func structOf(factType string) string {
	parts := strings.Split(factType, ".")
	if len(parts) < 2 {
		return factType + "{}"
	}
	return "events." + parts[1] + "{}"
}

// ends is rule 1.
func (g *graph) ends() (all []Finding) {
	for _, t := range g.types() {
		domain := g.flow.IsDomain(t)
		_, final := g.flow.Final(t)
		by := slices.DeleteFunc(slices.Clone(g.by[t]), func(n *node) bool { return !slices.Contains(g.stored(n), t) })
		handled := g.flow.Handles(t)
		switch {
		case len(by) == 0 && len(g.by[t]) > 0:
			// It rolls its command back: never stored.
		case len(by) == 0 && (handled || final):
			all = append(all, g.neverComes(t))
		case len(by) > 0 && (!final || domain) && !slices.ContainsFunc(g.on[t], func(n *node) bool { return len(n.outputs()) > 0 }):
			all = append(all, g.loose(t, by, handled))
		}
	}
	return all
}

// types are all facts that lines name, domain facts too.
func (g *graph) types() (all []string) {
	for _, n := range g.nodes {
		for _, f := range append(n.outputs(), n.on) {
			if f != "" && !slices.Contains(all, f) {
				all = append(all, f)
			}
		}
	}
	for _, f := range g.flow.Facts() {
		if !slices.Contains(all, f.FactType()) {
			all = append(all, f.FactType())
		}
	}
	return all
}

func (g *graph) neverComes(t string) Finding {
	f := Finding{Rule: 1, Line: t, Path: []string{t}, nodes: g.on[t], What: t + " is final, and nobody emits it",
		Cure: fmt.Sprintf("remove choreo.Final(%s, …), or have a line emit it", structOf(t))}
	if g.flow.Handles(t) {
		f.What = t + " is handled, and nobody emits it"
		f.Cure = fmt.Sprintf("add it to the line that emits it, .Emits(%s), or say that it comes from outside: choreo.Foreign(%s)", structOf(t), structOf(t))
	}
	if len(g.on[t]) > 0 {
		f.Line, f.Path = g.on[t][0].line(), []string{t, g.on[t][0].name}
	}
	return f
}

func (g *graph) loose(t string, by []*node, handled bool) Finding {
	f := Finding{Rule: 1, Line: by[0].line(), nodes: by, Path: append(by[0].path(), t),
		What: t + " is emitted, and is neither handled nor final",
		Cure: fmt.Sprintf("write choreo.Final(%s, choreo.%s), or a line that reacts to it", structOf(t), g.likely(t))}
	if handled {
		f.What = "a path ends with " + t + ", which is not final: what reacts to it emits nothing"
	}
	if g.flow.IsDomain(t) {
		f.What = t + " is a domain fact, which is stored nowhere, and nobody reacts to it in its transaction"
		f.Cure = "write a reaction to it that is InTransaction(), or remove it"
	}
	return f
}

// likely is what a fact would mean for its saga, by who emits it.
func (g *graph) likely(t string) string {
	for _, n := range g.by[t] {
		switch {
		case n.undo() && slices.Contains(n.fails, t):
			return "Owed"
		case n.undo():
			return "Undone"
		case slices.Contains(n.fails, t):
			return "Failed"
		}
	}
	return "Completed"
}

// bounds is rule 5.
func (g *graph) bounds(o Options) (all []Finding) {
	all = g.cycles()
	for _, n := range g.nodes {
		if n.rule == nil {
			continue
		}
		at := Finding{Rule: 5, Line: n.line(), Path: n.path(), nodes: []*node{n}}
		if n.effect() && (n.rule.GiveUp == nil || n.rule.GiveUpAfter <= 0) {
			f := at
			f.What, f.Cure = "the effect "+n.name+" never gives up", "write .GivesUp(24*time.Hour, …), which builds its failure fact"
			all = append(all, f)
		}
		if n.effect() && len(n.fails) == 0 {
			f := at
			f.What, f.Cure = "the effect "+n.name+" has no fact for its failure", "write .FailsWith(…)"
			all = append(all, f)
		}
		if n.rule.Within <= 0 && !n.rule.InTransaction {
			f := at
			f.What, f.Cure = "nothing says by when "+n.line()+" is expected", "write .Within(5*time.Second), or .View() where it is a read model"
			all = append(all, f)
		}
	}
	return append(all, g.schemas(o)...)
}

// schemas are facts without a schema, or that cannot read their older versions.
func (g *graph) schemas(o Options) (all []Finding) {
	for _, fact := range g.flow.Facts() {
		t := fact.FactType()
		at := Finding{Rule: 5, Line: t, Path: []string{t}, nodes: g.by[t]}
		if o.Schema != nil && !o.Schema(t) {
			f := at
			f.What, f.Cure = t+" has no schema", "run `troupe flow generate`, and commit what it writes"
			all = append(all, f)
		}
		if o.Versions == nil {
			continue
		}
		unversioned, newest := choreo.Version(t)
		for _, v := range o.Versions(unversioned) {
			if v < newest && !choreo.Upcasts(fact, v) {
				f := at
				f.What = fmt.Sprintf("%s cannot read version %d of itself", t, v)
				f.Cure = fmt.Sprintf("let %s.Upcasts turn the data of version %d into the next one's", strings.TrimSuffix(structOf(t), "{}"), v)
				all = append(all, f)
			}
		}
	}
	return all
}

// cycles are the reactions that can wake each other for ever, one finding for
// all that hang together.
func (g *graph) cycles() (all []Finding) {
	reported := map[*node]bool{}
	for _, n := range g.nodes {
		if reported[n] || n.on == "" {
			continue
		}
		path := g.back(n)
		if path == nil {
			continue
		}
		f := Finding{Rule: 5, Line: n.line(), Path: path, What: "nothing ends the cycle through " + n.line(),
			Cure: "leave out one of these reactions; or, where the handler ends it, say how on its line: .Except(5, \"…\")"}
		for _, other := range g.nodes {
			if other == n || g.leads(n, other) && g.leads(other, n) {
				reported[other] = true
				f.nodes = append(f.nodes, other)
			}
		}
		all = append(all, f)
	}
	return all
}

// leads tells whether a can wake b.
func (g *graph) leads(a, b *node) bool {
	return slices.Contains(g.reach(&node{emits: a.outputs()}, nil, true), b)
}

// back is a shortest way from a reaction to itself, nil where there is none.
func (g *graph) back(n *node) []string {
	var best []string
	for _, f := range n.outputs() {
		if f == n.on {
			return []string{n.on, n.name, f}
		}
		if !slices.Contains(g.undoReach(f, nil), n) {
			continue
		}
		trail := g.trail(&node{name: n.name, emits: []string{f}}, n.on)
		if best == nil || len(trail) < len(best) {
			best = trail
		}
	}
	if best == nil {
		return nil
	}
	return append([]string{n.on}, best...)
}
