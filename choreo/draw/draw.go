// Package draw writes what a flow says for people: a page with every saga as a
// Mermaid diagram and a table of all reactions. It draws any flow, always the
// same way, so that what it writes can be checked in and compared.
package draw

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"troupe/choreo"
	"troupe/choreo/check"
)

// Consumers is a table in Markdown of who reacts to what, one row per reaction,
// in the order of the flow.
func Consumers(flow *choreo.Flow) string {
	var b strings.Builder
	b.WriteString("| on | consumer | comes of it | fails with | undoes | within |\n|---|---|---|---|---|---|\n")
	for _, c := range flow.Consumers() {
		for _, r := range c.Rules() {
			fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %s | %s |\n", code(r.On), c.Name, codes(r.Emits), codes(r.FailsWith), codes(r.Undoes), within(r))
		}
	}
	return b.String()
}

// Page is the whole choreography in Markdown: each saga with its diagrams, its
// pivot, its times and its undos, then every reaction with all its options, and
// the topics.
func Page(flow *choreo.Flow, topics string) string {
	var b strings.Builder
	b.WriteString(`<!-- Written by "troupe flow generate" from the flow: do not edit. -->
# The choreography

Round is a command, square a consumer, a hexagon an effect, the rest are facts. A thick line is success, a dotted one
failure. "Within" is by when a reaction is expected after its fact; past it the saga is overdue, and nothing else.
"Gives up" is for how long an effect is tried. Undos of one turn run side by side. "troupe flow show SAGA" prints the same.

## Sagas
`)
	for _, s := range check.Sagas(flow) {
		if len(s.Steps) > 1 {
			saga(&b, s)
		}
	}
	b.WriteString("\n## Commands\n\n| command | says | takes back | when it is not undone |\n|---|---|---|---|\n")
	for _, c := range flow.Commands() {
		kept := excepts(c.Excepts)
		if c.KeepsReason != "" {
			kept = append(kept, "stays: "+c.KeepsReason)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", c.Name, codes(c.EmitsTypes), codes(c.CancelsNames), cmp.Or(strings.Join(kept, ", "), "–"))
	}
	b.WriteString("\n## Reactions\n\n| on | consumer | how | within | gives up | when it cannot be undone |\n|---|---|---|---|---|---|\n")
	for _, c := range flow.Consumers() {
		for _, r := range c.Rules() {
			fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %s | %s |\n", code(r.On), c.Name, how(r), within(r), givesUp(r), cmp.Or(left(r), "–"))
		}
	}
	b.WriteString("\n## What facts mean for their saga\n\n| fact | outcome |\n|---|---|\n")
	for _, f := range flow.Facts() {
		if o, ok := flow.Final(f.FactType()); ok {
			fmt.Fprintf(&b, "| %s | %s |\n", code(f.FactType()), o)
		}
	}
	b.WriteString("\n## Topics\n\n" + topics)
	return b.String()
}

func saga(b *strings.Builder, s check.Saga) {
	fmt.Fprintf(b, "\n### %s\n\n", s.Name)
	fmt.Fprintf(b, "Pivot: %s. Success within %s, the worst case within %s.\n\n", pivot(s), duration(s.Success), duration(s.WorstCase))
	diagram(b, s, false)
	if len(s.Undoing) == 0 {
		return
	}
	b.WriteString("\nWhen it fails, or is taken back:\n\n")
	diagram(b, s, true)
	b.WriteString("\n| from | undone, in turn | ends with | within |\n|---|---|---|---|\n")
	for _, u := range s.Undoing {
		var order []string
		for _, o := range u.Order {
			order = append(order, fmt.Sprintf("%d. %s undoes %s", o.Turn, code(o.Consumer), codes(o.Undoes)))
		}
		fmt.Fprintf(b, "| %s of `%s` | %s | %s | %s |\n", code(u.With), u.Of, cmp.Or(strings.Join(slices.Compact(order), "<br>"), "–"), codes(u.Ends), duration(u.Time))
	}
}

func pivot(s check.Saga) string {
	if len(s.Pivot) == 0 {
		return "none, since no failure has it undone"
	}
	return codes(s.Pivot)
}

// diagram is the saga in Mermaid: what succeeds, or what fails and is undone.
func diagram(b *strings.Builder, s check.Saga, failing bool) {
	b.WriteString("```mermaid\nflowchart LR\n")
	seen := map[string]bool{}
	line := func(format string, args ...any) {
		if text := fmt.Sprintf(format, args...); !seen[text] {
			seen[text] = true
			b.WriteString("  " + text + "\n")
		}
	}
	for _, step := range s.Steps {
		if shown(s, step, failing) {
			arrows(line, step, failing)
		}
	}
	b.WriteString("```\n")
}

// shown tells whether a step belongs on the diagram: forward steps and their
// bookkeeping on that of success; on that of failure what can call for undoing,
// the undos, and what follows them.
func shown(s check.Saga, step check.Step, failing bool) bool {
	forward := step.Kind == check.Starts || step.Kind == check.Forward
	if step.Kind == check.Books {
		forward = slices.ContainsFunc(s.Steps, func(o check.Step) bool {
			return (o.Kind == check.Starts || o.Kind == check.Forward) && slices.Contains(append(o.Emits, o.FailsWith...), step.On)
		})
	}
	if !failing {
		return forward
	}
	return !forward || slices.ContainsFunc(s.Undoing, func(u check.Undoing) bool { return slices.Contains(step.FailsWith, u.With) })
}

func arrows(line func(string, ...any), step check.Step, failing bool) {
	node := "c_" + id(step.Consumer)
	switch {
	case step.On == "":
		line("%s([%s])", node, step.Consumer)
	case step.Effect:
		line("%s{{%s}}", node, step.Consumer)
	default:
		line("%s[%s]", node, step.Consumer)
	}
	if step.On != "" {
		line("%s --> %s", fact(step.On), node)
	}
	if !failing || step.Kind != check.Forward {
		for _, f := range step.Emits {
			line("%s ==> %s", node, fact(f))
		}
	}
	for _, f := range step.FailsWith {
		line("%s -.-> %s", node, fact(f))
	}
}

// fact is a node of Mermaid for a fact type.
func fact(t string) string {
	name, _ := choreo.Version(t)
	return "f_" + id(t) + "(\"" + name + "\")"
}

func id(name string) string { return strings.NewReplacer("-", "_", ".", "_", " ", "_").Replace(name) }

func code(t string) string { return "`" + t + "`" }

func codes(names []string) string {
	var all []string
	for _, n := range names {
		all = append(all, code(n))
	}
	return cmp.Or(strings.Join(all, ", "), "–")
}

func within(r *choreo.Rule) string {
	switch {
	case r.InTransaction:
		return "the transaction"
	case r.After > 0:
		return Short(r.Within) + " (after " + Short(r.After) + ")"
	}
	return Short(r.Within)
}

func givesUp(r *choreo.Rule) string { return Short(r.GiveUpAfter) }

func duration(p *check.Path) string {
	switch {
	case p == nil:
		return "no bound"
	case p.Seconds == 0:
		return "the command"
	}
	return Short(p.Duration())
}

// how lists what kind of reaction it is.
func how(r *choreo.Rule) string {
	var all []string
	for _, o := range []struct {
		is   bool
		name string
	}{
		{r.Effect != nil, "effect"}, {r.View, "view"}, {r.Joins, "joins"}, {r.InTransaction, "in the transaction"},
		{r.Local, "local"}, {r.Parallel, "parallel"}, {r.ReactBatch != nil, "batch"}, {r.From != "", "from " + string(r.From)},
	} {
		if o.is {
			all = append(all, o.name)
		}
	}
	if r.Calls != "" {
		all = append(all, "calls "+r.Calls)
	}
	return cmp.Or(strings.Join(append(all, excepts(r.Excepts)...), ", "), "–")
}

func excepts(list []choreo.Exception) (all []string) {
	for _, e := range list {
		all = append(all, fmt.Sprintf("except from rule %d: %s", e.Rule, e.Reason))
	}
	return all
}

func left(r *choreo.Rule) string {
	if r.Irreversible != "" {
		return "irreversible: " + r.Irreversible
	}
	if r.Keeps != "" {
		return "stays: " + r.Keeps
	}
	return ""
}

// Short writes a duration as people do: 5m, not 5m0s; a dash for none.
func Short(d time.Duration) string {
	if d == 0 {
		return "–"
	}
	if d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
