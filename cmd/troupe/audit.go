package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"troupe/choreo"
)

func auditCommand() (*cobra.Command, error) {
	return group("audit", "What operators have done", auditList)
}

func auditList() (*cobra.Command, error) {
	var action string
	var limit int
	cmd, err := operatorCommand("list", "List what operators have changed, the latest first", "", 0, needsDatabase, nil,
		func(ctx context.Context, a *app, to *answer, _ []string) error {
			deeds, err := choreo.Deeds(ctx, a.db, action, limit)
			if err != nil {
				return err
			}
			return to.give(items(deeds), func(w io.Writer) {
				fmt.Fprintln(w, "AT\tWHO\tACTION\tTARGET\tCOUNT\tDETAIL")
				for _, d := range deeds {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", clock(d.At), d.Who, d.Action, d.Target, d.Count, cut(d.Detail, 160))
				}
			})
		})
	if err != nil {
		return nil, err
	}
	cmd.Flags().StringVar(&action, "action", "", "of this action only: steps redo, or all of steps")
	cmd.Flags().IntVar(&limit, "limit", 50, "at most so many")
	return cmd, nil
}
