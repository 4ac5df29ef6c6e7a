package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"troupe/choreo/steps"
)

// stepsCommand is what an operator has for steps that hang or gave up.
func stepsCommand() (*cobra.Command, error) {
	return group("steps", "Effects, delays and retries: what hangs, and what to do about it", stepsList, stepsShow, stepsRedo, stepsEdit, stepsDrop)
}

var stepStates = []string{"waiting", "calling", "done", "gave-up", "undone", "dropped", "parked", "unknown"}

func stepsList() (*cobra.Command, error) {
	var f steps.Filter
	var limit int
	list, err := operatorCommand("list", "List steps, the latest changed first", "", 0, needsDatabase, nil,
		func(ctx context.Context, a *app, to *answer, _ []string) error {
			found, err := steps.List(ctx, a.db, f, limit)
			if err != nil {
				return err
			}
			return to.give(items(found), func(w io.Writer) { stepsTable(w, found) })
		})
	if err != nil {
		return nil, err
	}
	list.Flags().StringVar(&f.Consumer, "consumer", "", "of this consumer only")
	list.Flags().StringVar(&f.State, "state", "", "waiting, calling, done, gave-up, undone, dropped, parked or unknown")
	list.Flags().StringVar(&f.Saga, "saga", "", "of this saga only")
	list.Flags().IntVar(&limit, "limit", 50, "at most so many")
	return list, list.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(stepStates, cobra.ShellCompDirectiveNoFileComp))
}

func stepsShow() (*cobra.Command, error) {
	return operatorCommand("show STEP", "Show a step with all that is known of it", "", 1, needsDatabase, nil,
		func(ctx context.Context, a *app, to *answer, args []string) error {
			id, err := stepNumber(args[0])
			if err != nil {
				return err
			}
			d, err := steps.Show(ctx, a.db, id)
			if err != nil {
				return err
			}
			return to.give(d, func(w io.Writer) { stepTable(w, d) })
		})
}

func stepsRedo() (*cobra.Command, error) {
	var force bool
	redo, err := stepCommand("redo STEP", "Have a step that gave up or is parked run again",
		"Its call keeps its idempotency key, its facts are new ones. Refused for a step that is undone or\nwhose line has gone on, unless --force is given.",
		nil, func(ctx context.Context, a *app, id int64, action steps.Action) (steps.Change, error) {
			action.Force = force
			return steps.Redo(ctx, a.db, id, action)
		})
	if err == nil {
		redo.Flags().BoolVar(&force, "force", false, "also when it is done or undone, or its line has gone on")
	}
	return redo, err
}

func stepsEdit() (*cobra.Command, error) {
	var force bool
	var data string
	edit, err := stepCommand("edit STEP", "Have a step run again with other data of its event",
		"The step gets the data of --data in place of its event's, and its call a new idempotency key: without --data it\n"+
			"keeps its data, for a provider that repeats its refusal under the old key. So the\n"+
			"provider is asked first: refused where the old call has happened or may have, unless --force is given.\n"+
			"Refused like redo besides. The event stays as it is; `troupe steps show` shows what there is.",
		[]string{"payment-url", "payment-key", "blobs-url"}, func(ctx context.Context, a *app, id int64, action steps.Action) (steps.Change, error) {
			body, err := newData(ctx, a, id, data)
			if err != nil {
				return steps.Change{}, err
			}
			action.Force = force
			return steps.Edit(ctx, a.db, id, body, action)
		})
	if err == nil {
		edit.Flags().BoolVar(&force, "force", false, "also when the old call may have happened, or its line has gone on")
		edit.Flags().StringVar(&data, "data", "", "the event's data as JSON, or @FILE, or @- for standard input; as it is, where that is not given")
	}
	return edit, err
}

// newData is what a step is to have: what is given, else what it has.
func newData(ctx context.Context, a *app, id int64, given string) ([]byte, error) {
	if given != "" {
		return readData(given)
	}
	d, err := steps.Show(ctx, a.db, id)
	return d.Data, err
}

func stepsDrop() (*cobra.Command, error) {
	return stepCommand("drop STEP", "End a step that waits or is parked, for good and without a fact", "Wants a --reason.",
		nil, func(ctx context.Context, a *app, id int64, action steps.Action) (steps.Change, error) {
			return steps.Drop(ctx, a.db, id, action)
		})
}

func stepNumber(text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, usageError{fmt.Errorf("%q is no step: `troupe steps list` shows their numbers", text)}
	}
	return id, nil
}

// stepChange is what was done to a step, or would be.
type stepChange struct {
	Executed bool        `json:"executed"`
	Before   steps.Info  `json:"before"`
	After    *steps.Info `json:"after"` // nil in a dry run
}

// stepCommand is a command that changes one step: a dry run without --execute.
func stepCommand(use, short, long string, flags []string,
	change func(context.Context, *app, int64, steps.Action) (steps.Change, error)) (*cobra.Command, error) {
	var execute bool
	var reason string
	cmd, err := operatorCommand(use, short, long, 1, needsDatabase, flags, func(ctx context.Context, a *app, to *answer, args []string) error {
		id, err := stepNumber(args[0])
		if err != nil {
			return err
		}
		d, err := steps.Show(ctx, a.db, id)
		if err != nil {
			return err
		}
		if !execute {
			return to.give(stepChange{Before: d.Info}, func(w io.Writer) {
				stepsTable(w, []steps.Info{d.Info})
				dry(w)
			})
		}
		did, err := change(ctx, a, id, steps.Action{Who: a.config.operator(), Reason: reason})
		if err != nil {
			return err
		}
		return to.give(stepChange{true, did.Before, &did.After}, func(w io.Writer) { stepsTable(w, []steps.Info{did.Before, did.After}) })
	})
	if err != nil {
		return nil, err
	}
	cmd.Flags().BoolVar(&execute, "execute", false, "do it; without this nothing is changed")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the audit")
	return cmd, nil
}

func stepsTable(w io.Writer, list []steps.Info) {
	fmt.Fprintln(w, "STEP\tCONSUMER\tSTATE\tTRIES\tCHANGED\tKEY\tSAGA\tERROR")
	for _, s := range list {
		fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%s\t%s\t%s\t%s\n", s.ID, s.Consumer, s.State, s.Attempts, clock(s.UpdatedAt), s.Key, s.Saga, cut(s.Error, 160))
	}
}

func stepTable(w io.Writer, d steps.Detail) {
	at := func(t *time.Time) string {
		if t == nil {
			return "–"
		}
		return clock(*t)
	}
	for _, row := range [][2]string{
		{"step", strconv.FormatInt(d.ID, 10)}, {"consumer", d.Consumer}, {"state", d.State}, {"error", d.Error},
		{"event", d.Event + " " + d.EventID}, {"caused by", d.CausationID}, {"saga", d.Saga}, {"key", d.Key}, {"line", d.Line},
		{"tries", strconv.Itoa(d.Attempts)}, {"round", strconv.Itoa(d.Round)}, {"due", at(&d.DueAt)}, {"begun", at(d.BegunAt)},
		{"leased until", at(d.LeaseUntil)}, {"asked about next", at(d.WatchedAt)}, {"changed", at(&d.UpdatedAt)},
		{"call's key", d.EffectKey}, {"called", strconv.FormatBool(d.Called)}, {"result", string(d.Result)}, {"data", string(d.Data)},
	} {
		fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
	}
}
