package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"troupe/choreo"
)

func sourceCommand() (*cobra.Command, error) {
	execute := false
	renew, err := part("new", "Give the database a new source after a restore from a backup",
		"After a restore the database is behind what it has published, and the relay refuses to give out sequences\n"+
			"twice. A new source starts them again under a new ce_source. What Kafka holds of the lost timeline is kept\n"+
			"in choreo.quarantine by the consumers that meet it, and applied by none. Stop everything first.",
		needsDatabase, nil,
		func(ctx context.Context, c *config, _ []string) error {
			if !execute {
				fmt.Println("Sequences would start again under a new source. Nothing was changed:\nstop all of Troupe, then repeat this with --execute.")
				return nil
			}
			a, err := openApp(ctx, c)
			if err != nil {
				return err
			}
			source, err := choreo.NewEpoch(ctx, a.pool)
			if err != nil {
				return errors.Join(err, a.close())
			}
			fmt.Println(source)
			return a.close()
		})
	if err != nil {
		return nil, err
	}
	renew.Flags().BoolVar(&execute, "execute", false, "do it; without this nothing is changed")
	source := &cobra.Command{Use: "source", Short: "The source of the facts of this database"}
	source.AddCommand(renew)
	return source, nil
}
