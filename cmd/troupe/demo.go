package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"troupe/demo"
	"troupe/handlers"
)

func demoCommand() (*cobra.Command, error) {
	c, err := readConfig(config{Data: dataDir()})
	if err != nil {
		return nil, err
	}
	o := demo.Options{Run: strings.ToLower(rand.Text()[:6])}
	var verify bool
	to := &answer{}
	cmd := &cobra.Command{
		Use: "demo", Short: "Drive a running system as clients would, and add up what came of it", Args: noArgs,
		Long: "Signs people up and has some verify their address, writes posts with pictures, orders, rents rooms, cancels\n" +
			"and deletes, a share of it failing on purpose. Then prints saga by saga what happened, and adds up. It goes on when the system goes away for\n" +
			"a while. Exit code 1: a sum does not add up; what is wrong stands below it.\n\n" +
			"Staff is TROUPE_STAFF_TOKEN, or else what `troupe up` keeps in the data folder.",
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.Staff = c.StaffToken; o.Staff == "" {
				if err := c.readSecrets(c.Data); err != nil {
					return err
				}
				if o.Staff = c.StaffToken; o.Staff == "" {
					return usageError{errors.New("no staff token: set TROUPE_STAFF_TOKEN, or give the --data of `troupe up`")}
				}
			}
			return perform(cmd.Context(), o, verify, to)
		},
	}
	c.flags(cmd.Flags(), "data", "staff-token")
	f := cmd.Flags()
	f.StringVar(&o.URL, "url", "http://127.0.0.1:8080", "of the API")
	f.StringVar(&o.Sandbox, "sandbox", "", "URL of the sandbox, where it runs by itself (default: that of the API)")
	f.IntVar(&o.Sagas, "sagas", 60, "how many sign-ups, posts, orders, rentals and deletions")
	f.Float64Var(&o.Rate, "rate", 0, "with --for: so many a second, after everybody has signed up")
	f.DurationVar(&o.For, "for", time.Minute, "with --rate: for how long")
	f.DurationVar(&o.Prompt, "prompt", 0, "by when 99 of 100 commands of each kind are to be answered, such as 800ms")
	f.StringVar(&o.Mode, "mode", "", "of all rentals: choreography or manager (default half in each)")
	f.IntVar(&o.Concurrency, "concurrency", 8, "clients at the same time")
	f.Uint64Var(&o.Seed, "seed", 1, "draws what is done")
	f.DurationVar(&o.Patience, "patience", time.Minute, "with a system that is away")
	f.DurationVar(&o.Wait, "wait", 2*time.Minute, "for the sagas to settle")
	f.BoolVar(&verify, "verify", false, "start nothing; only add up all that the system has ever done")
	return to.on(cmd), nil
}

// perform runs the demo and prints its report.
func perform(ctx context.Context, o demo.Options, verify bool, to *answer) error {
	undoes, err := undoing()
	if err != nil {
		return err
	}
	run, clearLine := demo.Run, ""
	if verify {
		run = demo.Verify
	}
	if onTerminal(os.Stderr) {
		clearLine = "\r\x1b[K"
		o.Progress = func(text string) { fmt.Fprint(os.Stderr, clearLine, text) }
	}
	report, err := run(ctx, o)
	fmt.Fprint(os.Stderr, clearLine)
	if err != nil {
		return err
	}
	err = to.tell(report, func(w io.Writer) error { return report.Print(w, undoes) })
	if err == nil && !report.OK() {
		err = errors.New("the sums do not add up")
	}
	return err
}

// undoing lists by consumer what it undoes.
func undoing() (map[string][]string, error) {
	flow, err := handlers.Flow(handlers.Outside{})
	if err != nil {
		return nil, err
	}
	undoes := map[string][]string{}
	for _, c := range flow.Consumers() {
		undoes[c.Name] = c.Rules()[0].Undoes
	}
	return undoes, nil
}
