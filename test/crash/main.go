// Crash kills the built system at every crash point of every consumer of the flow,
// one after the other, under the load of the demo, and adds up: every saga
// settles, and nothing is done twice. It builds the binary with the tag
// crashpoints, arms it with all points that are still to come, and starts it
// again each time that it has died at one. What was done is kept in -dir, so that
// an interrupted run goes on where it was.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"troupe/choreo"
	"troupe/handlers"
)

type options struct {
	dir    string
	sagas  int
	deaths int
	rounds int
	only   *regexp.Regexp
	within time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", filepath.Join(os.TempDir(), "troupe-crash"), "data, logs and the book of what is done; a run goes on where it was")
	flag.IntVar(&o.sagas, "sagas", 40, "sagas of a round of the demo")
	flag.IntVar(&o.deaths, "deaths", 12, "the system dies at most so often in a round")
	flag.IntVar(&o.rounds, "misses", 3, "a point that so many rounds in a row do not come to is given up")
	only := flag.String("only", "", "only points that match, such as ^capture-payment:")
	flag.DurationVar(&o.within, "within", 20*time.Minute, "stop after this long; the next run goes on")
	flag.Parse()
	o.only = regexp.MustCompile(*only)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to clean up
	}
}

// points are the places where the consumers of the flow may die: as
// TROUPE_CRASH_AT takes them. An effect commits twice, when its event comes and
// when its call has ended.
func points(flow *choreo.Flow) (all []string) {
	for _, c := range flow.Consumers() {
		effect := false
		for _, r := range c.Rules() {
			effect = effect || r.Effect != nil
		}
		at := []string{"before-commit:1", "after-commit:1"}
		if effect {
			at = append(at, "before-intent:1", "after-intent:1", "after-call:1", "before-commit:2", "after-commit:2")
		}
		if len(c.Topics()) > 0 && !c.Local() {
			at = append(at, "before-mark:1")
		}
		for _, point := range at {
			all = append(all, c.Name+":"+point)
		}
	}
	return all
}

func run(ctx context.Context, o options) error {
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return err
	}
	flow, err := handlers.Flow(handlers.Outside{})
	if err != nil {
		return err
	}
	b, err := openBook(filepath.Join(o.dir, "book.json"))
	if err != nil {
		return err
	}
	binary := filepath.Join(o.dir, "troupe")
	build := exec.CommandContext(ctx, "go", "build", "-tags", "crashpoints", "-o", binary, "./cmd/troupe")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("building the binary: %w", err)
	}
	s, err := newSystem(o.dir, binary)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(o.within)
	for missed := 0; missed < o.rounds && ctx.Err() == nil && time.Now().Before(deadline); {
		open := b.open(points(flow), o.only)
		if len(open) == 0 {
			break
		}
		came, err := s.round(ctx, o, b, open)
		if err != nil {
			return errors.Join(err, b.print(os.Stdout, points(flow), o.only))
		}
		missed++
		if came > 0 {
			missed = 0
		}
	}
	if err := b.print(os.Stdout, points(flow), o.only); err != nil {
		return err
	}
	return b.wrong()
}
