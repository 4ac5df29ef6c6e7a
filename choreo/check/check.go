// Package check proves from a flow alone, before it runs, that its choreography
// ends, can be undone wherever it can fail, and says so in time. It looks at
// lines only: who reacts to which fact, what may come of it, what it undoes. It
// knows no fact by name, and works on any flow.
//
// The rules (what a finding's Rule says):
//
//  1. Every fact emitted is handled or final, and every path ends in a final
//     fact; every fact handled is emitted by a line or foreign.
//  2. Where a forward step fails, or a command cancels, everything that was
//     done before or beside it is undone on every path, or says why not
//     (Irreversible, Keeps). A consumer that undoes a step does so on all its
//     lines, and only in sagas that have the step.
//  3. Undos that are effects run in reverse of the order of what they undo. The
//     failure of an undo is final and Owed, and does not keep the other undos
//     of its path from running.
//  4. Nothing that still calls for undoing fails after or beside what cannot be
//     undone.
//  5. No cycle without an end; every effect can give up; every reaction is
//     expected by a time; every fact has a schema, and reads its older versions.
//
// A forward step is a reaction that is no undo and follows none. Reactions that
// emit nothing (views, bookkeeping) are no steps.
package check

import (
	"fmt"
	"slices"
	"strings"

	"troupe/choreo"
)

// Finding is one thing that is wrong with a flow.
type Finding struct {
	Rule  int      `json:"rule"` // 1 to 5
	Line  string   `json:"line"` // the line to look at: a command, or "consumer on fact"
	What  string   `json:"what"` // what is wrong, a sentence
	Path  []string `json:"path"` // commands, consumers and facts in turn, that show it
	Cure  string   `json:"cure"` // which line to write
	nodes []*node  // an exception on any of them excuses it
}

func (f Finding) String() string {
	s := fmt.Sprintf("rule %d: %s\n  path: %s\n  cure: %s", f.Rule, f.What, strings.Join(f.Path, " → "), f.Cure)
	return s
}

// Options are what a flow cannot tell.
type Options struct {
	// Schema tells whether there is a schema of the fact type. Nil: not checked.
	Schema func(factType string) bool
	// Versions are all versions of a fact that were ever published, such as 1
	// and 2; unversioned is its type without the version. Nil: not checked.
	Versions func(unversioned string) []int
}

// Excused is a finding that the flow explains.
type Excused struct {
	Finding
	Reason string `json:"reason"`
}

// Report is what the checker has to say about a flow. It is sound when it has
// no findings.
type Report struct {
	Findings []Finding `json:"findings"`
	Excused  []Excused `json:"excused"`
	Sagas    int       `json:"sagas"`
	Lines    int       `json:"lines"`
}

// Flow checks a flow by all rules. Findings come in the order of the rules,
// within one in the order of the flow.
func Flow(flow *choreo.Flow, o Options) Report {
	g := newGraph(flow)
	r := Report{Findings: []Finding{}, Excused: []Excused{}, Sagas: len(g.starts), Lines: len(g.nodes)}
	used := map[*choreo.Exception]bool{}
	for _, f := range slices.Concat(g.ends(), g.undone(), g.undoOrder(), g.pointOfNoReturn(), g.bounds(o)) {
		if e := excuse(f, used); e != nil {
			r.Excused = append(r.Excused, Excused{f, e.Reason})
		} else {
			r.Findings = append(r.Findings, f)
		}
	}
	r.Findings = append(r.Findings, g.idleExceptions(used)...)
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return a.Rule - b.Rule })
	return r
}

// excuse is the exception that explains a finding, nil if there is none.
func excuse(f Finding, used map[*choreo.Exception]bool) *choreo.Exception {
	var found *choreo.Exception
	for _, n := range f.nodes {
		for i := range n.excepts {
			if e := &n.excepts[i]; e.Rule == f.Rule && e.Reason != "" {
				used[e] = true
				found = e
			}
		}
	}
	return found
}

func (g *graph) idleExceptions(used map[*choreo.Exception]bool) (all []Finding) {
	for _, n := range g.nodes {
		for i := range n.excepts {
			e := &n.excepts[i]
			switch {
			case e.Reason == "":
				all = append(all, Finding{Rule: e.Rule, Line: n.line(), What: n.line() + " has an exception without a reason", Path: n.path(),
					Cure: fmt.Sprintf("say why: .Except(%d, %q)", e.Rule, "…")})
			case !used[e]:
				all = append(all, Finding{Rule: e.Rule, Line: n.line(), What: n.line() + " has an exception that excuses nothing", Path: n.path(),
					Cure: fmt.Sprintf("remove .Except(%d, %q)", e.Rule, e.Reason)})
			}
		}
	}
	return all
}
