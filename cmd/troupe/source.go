package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"troupe/choreo"
)

func sourceCommand() (*cobra.Command, error) {
	return group("source", "The source of the facts of this database", sourceNew)
}

func sourceNew() (*cobra.Command, error) {
	execute, to := false, &answer{}
	renew, err := part("new", "Give the database a new source after a restore from a backup",
		"After a restore the database is behind what it has published, and the relay refuses to give out sequences\n"+
			"twice. A new source starts them again under a new ce_source. What Kafka holds of the lost timeline is kept\n"+
			"in choreo.quarantine by the consumers that meet it, and applied by none. Stop everything first. With --up the\n"+
			"private Postgres of a `troupe up` that is stopped is started for this.",
		needsDatabase, []string{"up", "who"},
		func(ctx context.Context, c *config, _ []string) error {
			a, err := openApp(ctx, c)
			if err != nil {
				return err
			}
			was, is, err := choreo.NewEpoch(choreo.AsOperator(ctx, c.operator()), a.pool, execute)
			if err = errors.Join(err, a.close()); err != nil {
				return err
			}
			return to.give(map[string]any{"was": was, "source": is, "executed": execute}, func(w io.Writer) {
				if execute {
					fmt.Fprintln(w, is)
					return
				}
				fmt.Fprintf(w, "Sequences would start again under %s; now they are of %s.\nNothing was changed: stop all of Troupe, then repeat this with --execute.\n", is, was)
			})
		})
	if err != nil {
		return nil, err
	}
	renew.Flags().BoolVar(&execute, "execute", false, "do it; without this nothing is changed")
	return to.on(renew), nil
}
