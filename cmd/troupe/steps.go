package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"troupe/choreo/steps"
)

// stepsCommand is what an operator has for steps that hang or gave up.
func stepsCommand() (*cobra.Command, error) {
	var f steps.Filter
	var output, data string
	var limit int
	var execute bool
	var action steps.Action
	list, err := part("list", "List steps, the latest changed first", "", needsDatabase, nil,
		func(ctx context.Context, c *config, _ []string) error {
			return withDB(ctx, c, func(a *app) error {
				found, err := steps.List(ctx, a.db, f, limit)
				if err != nil {
					return err
				}
				return printSteps(found, output)
			})
		})
	if err != nil {
		return nil, err
	}
	list.Flags().StringVar(&f.Consumer, "consumer", "", "of this consumer only")
	list.Flags().StringVar(&f.State, "state", "", "waiting, calling, done, gave-up, undone, dropped, parked or unknown")
	list.Flags().StringVar(&f.Saga, "saga", "", "of this saga only")
	list.Flags().IntVar(&limit, "limit", 50, "at most so many")
	list.Flags().StringVarP(&output, "output", "o", "text", "text or json")

	show, err := part("show STEP", "Show a step with all that is known of it", "", needsDatabase, nil,
		func(ctx context.Context, c *config, args []string) error {
			id, err := stepNumber(args[0])
			if err != nil {
				return err
			}
			return withDB(ctx, c, func(a *app) error {
				d, err := steps.Show(ctx, a.db, id)
				if err != nil {
					return err
				}
				return printStep(d, output)
			})
		})
	if err != nil {
		return nil, err
	}
	show.Args = oneStep
	show.Flags().StringVarP(&output, "output", "o", "text", "text or json")

	redo, err := stepCommand("redo STEP", "Have a step that gave up or is parked run again",
		"Its call keeps its idempotency key, its facts are new ones. Refused for a step that is undone or\nwhose line has gone on, unless --force is given.",
		nil, &execute, &action, func(ctx context.Context, a *app, id int64) (steps.Change, error) {
			return steps.Redo(ctx, a.db, id, action)
		})
	if err != nil {
		return nil, err
	}
	redo.Flags().BoolVar(&action.Force, "force", false, "also when it is done or undone, or its line has gone on")
	edit, err := stepCommand("edit STEP", "Have a step run again with other data of its event",
		"The step gets the data of --data in place of its event's, and its call a new idempotency key. So the\n"+
			"provider is asked first: refused where the old call has happened or may have, unless --force is given.\n"+
			"Refused like redo besides. The event stays as it is; `troupe steps show` shows what there is.",
		[]string{"payment-url", "blobs-url"}, &execute, &action, func(ctx context.Context, a *app, id int64) (steps.Change, error) {
			body, err := readData(data)
			if err != nil {
				return steps.Change{}, err
			}
			return steps.Edit(ctx, a.db, id, body, action)
		})
	if err != nil {
		return nil, err
	}
	edit.Flags().BoolVar(&action.Force, "force", false, "also when the old call may have happened, or its line has gone on")
	edit.Flags().StringVar(&data, "data", "", "the event's data as JSON, or @FILE, or @- for standard input")
	drop, err := stepCommand("drop STEP", "End a step that waits or is parked, for good and without a fact", "",
		nil, &execute, &action, func(ctx context.Context, a *app, id int64) (steps.Change, error) {
			return steps.Drop(ctx, a.db, id, action)
		})
	if err != nil {
		return nil, err
	}
	cmd := &cobra.Command{Use: "steps", Short: "Effects, delays and retries: what hangs, and what to do about it"}
	cmd.AddCommand(list, show, redo, edit, drop)
	return cmd, nil
}

func stepNumber(text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, usageError{fmt.Errorf("%q is no step: `troupe steps list` shows their numbers", text)}
	}
	return id, nil
}

func oneStep(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError{fmt.Errorf("%s takes one step; `troupe steps list` shows their numbers", c.CommandPath())}
	}
	return nil
}

// stepCommand is a command that changes one step: a dry run without --execute.
func stepCommand(use, short, long string, flags []string, execute *bool, action *steps.Action,
	change func(context.Context, *app, int64) (steps.Change, error)) (*cobra.Command, error) {
	cmd, err := part(use, short, long, needsDatabase, flags, func(ctx context.Context, c *config, args []string) error {
		id, err := stepNumber(args[0])
		if err != nil {
			return err
		}
		return withDB(ctx, c, func(a *app) error {
			d, err := steps.Show(ctx, a.db, id)
			if err != nil {
				return err
			}
			if !*execute {
				return errors.Join(printSteps([]steps.Info{d.Info}, "text"), notExecuted())
			}
			did, err := change(ctx, a, id)
			if err != nil {
				return err
			}
			return printSteps([]steps.Info{did.Before, did.After}, "text")
		})
	})
	if err != nil {
		return nil, err
	}
	cmd.Args = oneStep
	cmd.Flags().BoolVar(execute, "execute", false, "do it; without this nothing is changed")
	cmd.Flags().StringVar(&action.Who, "who", operator(), "who does it")
	cmd.Flags().StringVar(&action.Reason, "reason", "", "why")
	return cmd, nil
}

func notExecuted() error {
	_, err := fmt.Println("Nothing was changed: repeat this with --execute.")
	return err
}

func printSteps(list []steps.Info, output string) error {
	if output == "json" {
		return json.NewEncoder(os.Stdout).Encode(map[string]any{"items": list})
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "STEP\tCONSUMER\tSTATE\tTRIES\tCHANGED\tKEY\tSAGA\tERROR")
	for _, s := range list {
		fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%s\t%s\t%s\t%s\n", s.ID, s.Consumer, s.State, s.Attempts,
			s.UpdatedAt.Format(time.DateTime), s.Key, s.Saga, s.Error)
	}
	return w.Flush()
}

func printStep(d steps.Detail, output string) error {
	if output == "json" {
		return json.NewEncoder(os.Stdout).Encode(d)
	}
	at := func(t *time.Time) string {
		if t == nil {
			return "-"
		}
		return t.UTC().Format(time.DateTime)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, row := range [][2]string{
		{"step", strconv.FormatInt(d.ID, 10)}, {"consumer", d.Consumer}, {"state", d.State}, {"error", d.Error},
		{"event", d.Event + " " + d.EventID}, {"caused by", d.CausationID}, {"saga", d.Saga}, {"key", d.Key}, {"line", d.Line},
		{"tries", strconv.Itoa(d.Attempts)}, {"round", strconv.Itoa(d.Round)}, {"due", at(&d.DueAt)}, {"begun", at(d.BegunAt)},
		{"leased until", at(d.LeaseUntil)}, {"asked about next", at(d.WatchedAt)}, {"changed", at(&d.UpdatedAt)},
		{"call's key", d.EffectKey}, {"called", strconv.FormatBool(d.Called)}, {"result", string(d.Result)}, {"data", string(d.Data)},
	} {
		fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
	}
	return w.Flush()
}
