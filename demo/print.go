package demo

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// Print writes the report for a person: each saga step by step, how the
// commands were answered, and the sums.
func (r *Report) Print(w io.Writer, undoes map[string][]string) error {
	p := &printer{w: w, undoes: undoes}
	for _, s := range r.Sagas {
		p.story(s)
	}
	p.commands(r.Commands)
	p.sums(r)
	return p.err
}

type printer struct {
	w      io.Writer
	undoes map[string][]string
	err    error
}

func (p *printer) linef(format string, args ...any) {
	if _, err := fmt.Fprintf(p.w, format+"\n", args...); p.err == nil {
		p.err = err
	}
}

func (p *printer) story(s Story) {
	title := s.StartedBy
	if s.Label != "" {
		title += ": " + s.Label
	}
	p.linef("%-52s %-9s  %s", title, verdict(s.Saga), s.ID)
	for _, step := range s.Steps {
		note := ""
		if undone := p.undoes[step.Consumer]; len(undone) > 0 {
			note = "↩ undoes " + strings.Join(undone, ", ")
		}
		name := strings.TrimSuffix(step.Event, ".v1")
		p.linef("%s", strings.TrimRight(fmt.Sprintf("  %7s  %-23s %-35s %s", since(step.At.Sub(s.StartedAt)), step.Consumer, name, note), " "))
	}
	for _, e := range s.Expected {
		p.linef("      ...  %-23s expected", e.Consumer)
	}
	for _, o := range s.Owed {
		p.linef("     owed  %-23s of %s: %s", o.Undo, o.Of, o.Reason)
	}
	p.linef("")
}

func (p *printer) commands(list []Command) {
	if len(list) == 0 {
		return
	}
	t := tabwriter.NewWriter(p.w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "command\tanswered\tlost\tmedian\tp99\tslowest\tper second\t") // what went wrong, Flush says
	for _, c := range list {
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%s\t%s\t%.1f\t\n", c.Name, c.Answered, c.Lost,
			since(time.Duration(c.Median)), since(time.Duration(c.P99)), since(time.Duration(c.Slowest)), c.PerSec)
	}
	if err := t.Flush(); p.err == nil {
		p.err = err
	}
	p.linef("")
}

func (p *printer) sums(r *Report) {
	wrong := 0
	for _, s := range r.Sums {
		mark := "✓"
		if len(s.Wrong) > 0 {
			mark = "✗"
		}
		p.linef("%s %-8s %s", mark, s.Name, s.Text)
		for i, text := range s.Wrong {
			if wrong++; i == 20 {
				p.linef("           … and %d more", len(s.Wrong)-i)
				break
			}
			p.linef("           %s", text)
		}
	}
	if wrong == 0 {
		p.linef("\nEverything adds up (%s).", since(time.Duration(r.Took)))
	}
}

// since is a duration as a person reads it.
func since(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// verdict is the outcome of a settled saga, else its status.
func verdict(s *Saga) string {
	if s.Status != "settled" || s.Outcome == "" {
		return s.Status
	}
	return s.Outcome
}
