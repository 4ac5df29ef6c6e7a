// Crash kills the built system at every crash point of every consumer of the flow,
// one after the other, under the load of the demo, and adds up: every saga
// settles, and nothing is done twice. It builds the binary with the tag
// crashpoints, arms it with all points that are still to come, and starts it
// again each time that it has died at one. What was done is kept in -dir, so that
// an interrupted run goes on where it was; other code begins anew. It fails where
// something is wrong, and where a point was not come to.
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
	"slices"
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
	flag.StringVar(&o.dir, "dir", filepath.Join(os.TempDir(), "troupe-crash"), "data, logs and the book of what is done; a run of the same code goes on where it was")
	flag.IntVar(&o.sagas, "sagas", 72, "sagas of a round of the demo; it takes 72 to come to all that it does")
	flag.IntVar(&o.deaths, "deaths", 12, "the system dies at most so often in a round")
	flag.IntVar(&o.rounds, "misses", 3, "give up the points that are left when so many rounds in a row, in each mode, come to none")
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

// modes are those of rentals. A round of the demo rents in one of them.
var modes = []string{"choreography", "manager"}

// point is a place where a consumer may die: At is as TROUPE_CRASH_AT takes it.
type point struct {
	At   string
	Mode string // of the rentals it is tried in; empty: it is one in either
}

// String is how the book knows it.
func (p point) String() string {
	if p.Mode == "" {
		return p.At
	}
	return p.At + " by " + p.Mode
}

// points are the places where the consumers of the flow may die. An effect commits
// twice, when its event comes and when its call has ended. A consumer that takes
// part in rentals of both modes dies in each.
func points(flow *choreo.Flow) (all []point) {
	for _, c := range flow.Consumers() {
		effect := slices.ContainsFunc(c.Rules(), func(r *choreo.Rule) bool { return r.Effect != nil })
		at := []string{"before-commit:1", "after-commit:1"}
		if effect {
			at = append(at, "before-intent:1", "after-intent:1", "after-call:1", "before-commit:2", "after-commit:2")
		}
		if len(c.Topics()) > 0 && !c.Local() {
			at = append(at, "before-mark:1")
		}
		in := []string{""}
		if slices.Contains(c.Topics(), "rentals") && slices.Contains(c.Topics(), "rentals-commands") {
			in = modes
		}
		for _, mode := range in {
			for _, where := range at {
				all = append(all, point{c.Name + ":" + where, mode})
			}
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
	binary := filepath.Join(o.dir, "troupe")
	// Without the commit in it, the same code is the same binary.
	build := exec.CommandContext(ctx, "go", "build", "-tags", "crashpoints", "-buildvcs=false", "-o", binary, "./cmd/troupe")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("building the binary: %w", err)
	}
	b, err := openBook(filepath.Join(o.dir, "book.json"), binary)
	if err != nil {
		return err
	}
	s, err := newSystem(o.dir, binary)
	if err != nil {
		return err
	}
	all := slices.DeleteFunc(points(flow), func(p point) bool { return !o.only.MatchString(p.String()) })
	deadline := time.Now().Add(o.within)
	for missed := 0; missed < o.rounds*len(modes) && ctx.Err() == nil && time.Now().Before(deadline); {
		open := b.open(all)
		if len(open) == 0 {
			break
		}
		came, err := s.round(ctx, o, b, open, modes[len(b.Rounds)%len(modes)])
		if err != nil {
			return errors.Join(err, b.print(os.Stdout, all))
		}
		missed++
		if came > 0 {
			missed = 0
		}
	}
	if err := b.print(os.Stdout, all); err != nil {
		return err
	}
	return b.wrong(all)
}
