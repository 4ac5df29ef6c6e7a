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
	var output, reason string
	var limit int
	var execute, force bool
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

	redo, err := stepCommand("redo STEP", "Have a step that gave up or is parked run again",
		"Its call keeps its idempotency key, its facts are new ones. Refused for a step that is undone or\nwhose line has gone on, unless --force is given.",
		&execute, func(ctx context.Context, a *app, id int64) error { return steps.Redo(ctx, a.db, id, force) })
	if err != nil {
		return nil, err
	}
	redo.Flags().BoolVar(&force, "force", false, "also when it is done or undone, or its line has gone on")
	drop, err := stepCommand("drop STEP", "End a step that waits or is parked, for good and without a fact", "",
		&execute, func(ctx context.Context, a *app, id int64) error { return steps.Drop(ctx, a.db, id, reason) })
	if err != nil {
		return nil, err
	}
	drop.Flags().StringVar(&reason, "reason", "", "why; it is kept with the step")
	cmd := &cobra.Command{Use: "steps", Short: "Effects, delays and retries: what hangs, and what to do about it"}
	cmd.AddCommand(list, redo, drop)
	return cmd, nil
}

// stepCommand is a command that changes one step: a dry run without --execute.
func stepCommand(use, short, long string, execute *bool, change func(context.Context, *app, int64) error) (*cobra.Command, error) {
	cmd, err := part(use, short, long, needsDatabase, nil, func(ctx context.Context, c *config, args []string) error {
		id, err := strconv.ParseInt(args[0], 10, 64)
		if err != nil {
			return usageError{fmt.Errorf("%q is no step: `troupe steps list` shows their numbers", args[0])}
		}
		return withDB(ctx, c, func(a *app) error {
			found, err := steps.List(ctx, a.db, steps.Filter{ID: id}, 1)
			if err != nil {
				return err
			}
			if len(found) == 0 {
				return steps.ErrNoStep
			}
			if err := printSteps(found, "text"); err != nil || !*execute {
				return errors.Join(err, notExecuted())
			}
			return change(ctx, a, id)
		})
	})
	if err != nil {
		return nil, err
	}
	cmd.Args = func(c *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usageError{fmt.Errorf("%s takes one step; `troupe steps list` shows their numbers", c.CommandPath())}
		}
		return nil
	}
	cmd.Flags().BoolVar(execute, "execute", false, "do it; without this nothing is changed")
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
