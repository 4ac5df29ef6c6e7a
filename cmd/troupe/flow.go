package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"troupe/handlers"
	"troupe/schemas"
)

func flowCommand() (*cobra.Command, error) {
	dir := "schemas"
	generate := &cobra.Command{
		Use: "generate", Short: "Write what follows from the flow: the JSON Schemas of its facts", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			flow, err := handlers.Flow(handlers.Outside{})
			if err != nil {
				return err
			}
			files, err := schemas.Of(flow.Facts())
			if err != nil {
				return err
			}
			for name, body := range files {
				if err := os.WriteFile(filepath.Join(dir, name), body, 0o644); err != nil { //nolint:gosec // sources are for everybody to read
					return fmt.Errorf("writing a schema (run it at the top of the repository): %w", err)
				}
			}
			fmt.Printf("%d schemas in %s\n", len(files), dir)
			return nil
		},
	}
	generate.Flags().StringVar(&dir, "schemas", dir, "folder to write schemas to")
	flow := &cobra.Command{Use: "flow", Short: "The choreography"}
	flow.AddCommand(generate)
	return flow, nil
}
