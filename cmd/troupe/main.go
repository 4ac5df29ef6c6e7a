// Command troupe is the whole of Troupe in one binary: everything in one process
// (troupe up), or the parts alone (troupe api, relay, run, sandbox).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

const (
	exitFailed = 1
	exitUsage  = 2

	// exitCodes ends every --help.
	exitCodes = `Exit codes:
  0  done, or a dry run
  1  failed, or refused by what there is; of a check: it has found something
  2  wrong command line, or a setting is missing: nothing was begun`
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if os.Getenv("GOGC") == "" {
		// The heap is small and full of batches that come and go: at the default
		// of 100 the collector takes a sixth of a busy consumer's time.
		debug.SetGCPercent(300)
	}
	os.Exit(run(ctx, os.Args[1:], os.Stdout))
}

func run(ctx context.Context, args []string, out io.Writer) int {
	root := &cobra.Command{
		Use:   "troupe",
		Short: "A choreography of small Kafka consumers",
		Long: "Troupe does what must follow a commit: as facts on Kafka topics, with one small consumer for each,\n" +
			"and failure facts that wake the consumers which undo what went before.",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetHelpTemplate(root.HelpTemplate() + "\n" + exitCodes + "\n")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w\nRun `%s --help`", err, c.CommandPath())}
	})
	for _, add := range []func() (*cobra.Command, error){
		upCommand,
		demoCommand,
		apiCommand,
		relayCommand,
		runCommand,
		sandboxCommand,
		migrateCommand,
		topicsCommand,
		sagasCommand,
		stepsCommand,
		consumersCommand,
		replayCommand,
		eventsCommand,
		emitCommand,
		viewsCommand,
		auditCommand,
		sourceCommand,
		flowCommand,
		schemasCommand,
		newCommand,
		doctorCommand,
		healthCommand,
	} {
		c, err := add()
		if err != nil {
			fmt.Fprintln(os.Stderr, "troupe:", err)
			return exitUsage
		}
		root.AddCommand(c)
	}
	root.SetArgs(args)
	root.SetOut(out)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "troupe:", err)
	if _, usage := errors.AsType[usageError](err); usage {
		return exitUsage
	}
	return exitFailed
}

// usageError is a wrong command line.
type usageError struct{ error }

func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%s takes no argument, not %q", c.CommandPath(), args[0])}
	}
	return nil
}
