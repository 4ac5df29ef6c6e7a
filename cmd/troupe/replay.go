package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"troupe/choreo"
	"troupe/choreo/consume"
	"troupe/choreo/steps"
)

func replayCommand() (*cobra.Command, error) {
	var execute, dryRun bool
	var effects int
	var from, key string
	cmd, err := operatorCommand("replay CONSUMER", "Have a consumer do again what it did about past events",
		"Reads the log and runs the consumer's reactions again: after a bug in one is mended, or rows are lost. It\n"+
			"redoes state: facts that the log has are not emitted again, what is undone stays undone, what waits in steps\n"+
			"is left there, and offsets and watermarks stay where they are. It runs here, beside the running consumer.\n\n"+
			"Effects are skipped. Given twice, --repeat-effects has their steps called again, each under the key that it\n"+
			"had: providers drop what they remember, which most do for a day.\n\n"+
			"A reaction that adds to what is there adds twice: replay is for those that say what state they start from.",
		1, needsDatabase, []string{"forbidden-tags"}, func(ctx context.Context, a *app, to *answer, args []string) error {
			c, err := a.consumer(args[0])
			if err != nil {
				return err
			}
			if execute && dryRun {
				return usageError{errors.New("--dry-run and --execute: choose one")}
			}
			if effects == 1 {
				return usageError{errors.New("--repeat-effects calls the world outside again: give it twice, if you mean it")}
			}
			now, err := a.db.Now(ctx)
			if err != nil {
				return err
			}
			r := consume.Replay{DB: a.db, Consumer: c, Key: key, Dry: true}
			if r.From, err = since(from, now); err != nil {
				return err
			}
			would, err := replayAll(ctx, &r, "looking")
			if err != nil || !execute {
				return errors.Join(err, giveReplayed(to, c.Name, would, false, effects > 1))
			}
			err = a.db.InUnit(ctx, func(ctx context.Context, u *choreo.Unit) error {
				return u.Audit(ctx, "replay", c.Name, int64(would.Redone), fmt.Sprintf("from %q, key %q, effects repeated: %t", from, key, effects > 1))
			})
			if err != nil {
				return err
			}
			r.Dry = false
			done, err := replayAll(ctx, &r, "replaying")
			if err != nil {
				return errors.Join(err, giveReplayed(to, c.Name, done, true, false))
			}
			if effects > 1 {
				if err := repeatEffects(ctx, a, &done); err != nil {
					return err
				}
			}
			if err := giveReplayed(to, c.Name, done, true, effects > 1); err != nil {
				return err
			}
			if done.Failed > 0 {
				return fmt.Errorf("%d reactions failed", done.Failed)
			}
			return nil
		})
	if err != nil {
		return nil, err
	}
	cmd.Flags().StringVar(&from, "from", "", "events since then only: 2026-11-22T19:00:00Z, 2026-11-22, or 2h for two hours ago")
	cmd.Flags().StringVar(&key, "key", "", "events of this key only")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would be redone, and which effects skipped; so it is without --execute")
	cmd.Flags().BoolVar(&execute, "execute", false, "do it; without this nothing is changed")
	cmd.Flags().CountVar(&effects, "repeat-effects", "given twice: call the world outside again too")
	return completingConsumers(cmd, nil)
}

// since reads a time: an instant, a day, or how long ago.
func since(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usageError{fmt.Errorf("--from %q: give 2026-11-22T19:00:00Z, 2026-11-22, or 2h for two hours ago", text)}
}

func replayAll(ctx context.Context, r *consume.Replay, verb string) (sum consume.Replayed, err error) {
	defer progress("")
	for position, more := int64(0), true; more; {
		var done consume.Replayed
		if done, position, more, err = r.Batch(ctx, position); err != nil {
			return sum, err
		}
		sum.Add(done)
		progress("%s: position %d, %d to redo, %d effects", verb, position, sum.Redone, sum.Effects)
	}
	return sum, nil
}

// repeatEffects has the steps of effects called again that have ended.
func repeatEffects(ctx context.Context, a *app, done *consume.Replayed) error {
	for _, id := range done.Steps {
		if _, err := steps.Redo(ctx, a.db, id, steps.Action{Who: a.config.operator(), Reason: "replay, effects repeated", Force: true}); err != nil {
			return fmt.Errorf("having step %d called again: %w", id, err)
		}
	}
	done.Redone += len(done.Steps)
	done.Effects -= len(done.Steps)
	return nil
}

func giveReplayed(to *answer, consumer string, r consume.Replayed, executed, repeat bool) error {
	return to.give(map[string]any{"consumer": consumer, "executed": executed, "result": r}, func(w io.Writer) {
		would, skipped := "would run again", "would be skipped"
		if executed {
			would, skipped = "ran again", "were skipped"
		} else if repeat {
			skipped = "would be CALLED AGAIN"
		}
		fmt.Fprintf(w, "%s\n", consumer)
		fmt.Fprintf(w, "%8d reactions %s\n", r.Redone, would)
		fmt.Fprintf(w, "%8d effects %s\n", r.Effects, skipped)
		fmt.Fprintf(w, "%8d are undone or dropped, and left so\n", r.Undone)
		fmt.Fprintf(w, "%8d are unfinished or not taken yet, and left alone\n", r.Unfinished)
		if !executed {
			dry(w)
			return
		}
		fmt.Fprintf(w, "%8d facts are new; those that the log had were not emitted again\n", r.NewFacts)
		fmt.Fprintf(w, "%8d reactions failed\n", r.Failed)
		for _, e := range r.Errors {
			fmt.Fprintf(w, "         %s\n", cut(e, 200))
		}
	})
}
