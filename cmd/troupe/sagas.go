package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"troupe/choreo/saga"
	"troupe/choreo/steps"
)

// sagasCommand is what an operator has to see what a process is at.
func sagasCommand() (*cobra.Command, error) {
	return group("sagas", "What has happened, what is expected, late or owed", sagasList, sagasShow)
}

func sagasList() (*cobra.Command, error) {
	var status string
	var limit int
	cmd, err := operatorCommand("list", "List sagas, the latest begun first", "", 0, needsDatabase, nil,
		func(ctx context.Context, a *app, to *answer, _ []string) error {
			if !slices.Contains([]string{"", saga.Running, saga.Overdue, saga.Parked, saga.Settled}, status) {
				return usageError{fmt.Errorf("--status %s: choose running, overdue, parked or settled", status)}
			}
			var list []*saga.Saga
			for before := int64(0); len(list) < limit; {
				page, next, err := saga.List(ctx, a.db, status, before, min(limit-len(list), 200))
				if err != nil {
					return err
				}
				list = append(list, page...)
				if before = next; next == 0 {
					break
				}
			}
			return to.give(items(list), func(w io.Writer) { sagasTable(w, list) })
		})
	if err != nil {
		return nil, err
	}
	cmd.Flags().StringVar(&status, "status", "", "running, overdue, parked or settled")
	cmd.Flags().IntVar(&limit, "limit", 50, "at most so many")
	return cmd, cmd.RegisterFlagCompletionFunc("status",
		cobra.FixedCompletions([]string{saga.Running, saga.Overdue, saga.Parked, saga.Settled}, cobra.ShellCompDirectiveNoFileComp))
}

func sagasTable(w io.Writer, list []*saga.Saga) {
	fmt.Fprintln(w, "SAGA\tSTATUS\tOUTCOME\tSTARTED\tBY\tFACTS\tEXPECTED\tOWED")
	for _, s := range list {
		var expected, owed []string
		for _, e := range s.Expected {
			expected = append(expected, e.Consumer)
		}
		for _, o := range s.Owed {
			owed = append(owed, o.Undo)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", s.ID, s.Status, cmp.Or(s.Outcome, "–"), clock(s.StartedAt), s.StartedBy,
			len(s.Steps), cmp.Or(strings.Join(expected, " "), "–"), cmp.Or(strings.Join(owed, " "), "–"))
	}
}

func sagasShow() (*cobra.Command, error) {
	return operatorCommand("show SAGA", "Show one saga: its facts by what caused them, what is expected, what to do", "",
		1, needsDatabase, nil, func(ctx context.Context, a *app, to *answer, args []string) error {
			s, err := saga.Show(ctx, a.db, args[0])
			if err != nil {
				return fmt.Errorf("%s: %w (a command answers its id as Troupe-Saga)", args[0], err)
			}
			open, err := steps.List(ctx, a.db, steps.Filter{Saga: s.ID}, 1000)
			if err != nil {
				return err
			}
			now, err := a.db.Now(ctx)
			if err != nil {
				return err
			}
			return to.give(s, func(w io.Writer) { (&sagaTree{s, open, now, w}).write() })
		})
}

// sagaTree writes a saga for somebody called at night.
type sagaTree struct {
	*saga.Saga
	steps []steps.Info
	now   time.Time
	w     io.Writer
}

func (t *sagaTree) write() {
	outcome := cmp.Or(t.Outcome, "–")
	if t.Outcome != "" && t.Status != saga.Settled {
		outcome += " so far"
	}
	fmt.Fprintf(t.w, "Saga %s: %s, outcome %s\n", t.ID, strings.ToUpper(t.Status), outcome)
	fmt.Fprintf(t.w, "Begun by %s at %s UTC, %s ago", t.StartedBy, clock(t.StartedAt), span(t.now.Sub(t.StartedAt)))
	if t.SettledAt != nil {
		fmt.Fprintf(t.w, "; settled after %s", span(t.SettledAt.Sub(t.StartedAt)))
	}
	fmt.Fprint(t.w, "\n\n")
	known := map[string]bool{}
	for _, f := range t.Steps {
		known[f.EventID] = true
	}
	for _, f := range t.Steps {
		if !known[f.CausedBy] {
			t.fact(f, 0)
		}
	}
	t.advice()
}

// fact writes a fact, what is expected to follow from it, and what has followed.
func (t *sagaTree) fact(f saga.Step, depth int) {
	fmt.Fprintf(t.w, "%10s  %s%s  by %s\n", "+"+span(f.At.Sub(t.StartedAt)), strings.Repeat("  ", depth), f.Event, f.Consumer)
	for _, e := range t.Expected {
		if e.On == f.EventID {
			fmt.Fprintf(t.w, "%10s  %s… %s: %s\n", "", strings.Repeat("  ", depth+1), e.Consumer, t.expectation(e))
		}
	}
	for _, later := range t.Steps {
		if later.CausedBy == f.EventID {
			t.fact(later, depth+1)
		}
	}
}

func (t *sagaTree) expectation(e saga.Expected) string {
	text := "expected"
	if e.DueAt != nil {
		if late := t.now.Sub(*e.DueAt); late > 0 {
			text = "LATE by " + span(late)
		} else {
			text = "expected within " + span(late)
		}
	}
	s := t.step(e.Consumer, e.On)
	if s == nil {
		return text + ", not taken yet"
	}
	text += fmt.Sprintf(", step %d is %s", s.ID, s.State)
	if s.Attempts > 0 {
		text += fmt.Sprintf(" after %d tries", s.Attempts)
	}
	if s.State == steps.Waiting {
		if in := s.DueAt.Sub(t.now); in > 0 {
			text += ", next in " + span(in)
		}
	}
	if s.Error != "" {
		text += ": " + cut(s.Error, 200)
	}
	return text
}

func (t *sagaTree) step(consumer, event string) *steps.Info {
	for i, s := range t.steps {
		if s.Consumer == consumer && s.EventID == event {
			return &t.steps[i]
		}
	}
	return nil
}

// advice says what an operator can do.
func (t *sagaTree) advice() {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for _, e := range t.Expected {
		s := t.step(e.Consumer, e.On)
		switch {
		case s != nil && s.State == steps.Parked:
			add("%s is parked, and its line waits behind it: %s\n  when the cause is gone:  troupe steps redo %d --execute\n  or give it up unsaid:    troupe steps drop %d --reason … --execute",
				e.Consumer, cut(s.Error, 300), s.ID, s.ID)
		case s == nil && e.DueAt != nil && t.now.After(*e.DueAt):
			add("%s has not taken its event: is it running, paused, stuck?\n  troupe consumers lag %s", e.Consumer, e.Consumer)
		case s != nil && s.State == steps.Unknown:
			add("%s put the event aside, of a type that its binary does not know: run the newest one", e.Consumer)
		}
	}
	for _, o := range t.Owed {
		add("%s is owed: %s was not undone (%s)", o.Undo, o.Of, cut(o.Reason, 300))
		for _, s := range t.steps {
			if s.Consumer == o.Undo && s.State == steps.GaveUp {
				add("  when the cause is gone:  troupe steps redo %d --execute\n  under a new key, where the provider repeats its refusal under the old one:  troupe steps edit %d --execute", s.ID, s.ID)
			}
		}
	}
	if len(lines) > 0 {
		fmt.Fprintf(t.w, "\nTo do\n%s\n", strings.Join(lines, "\n"))
	}
}
