// Simulate runs the product's choreography in a deterministic simulation: one
// seed, some sagas, every fault the seed brings. It ends with its counts, the
// seed and the digest of its trace, and with exit code 1 where an invariant
// does not hold.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"

	_ "github.com/lib/pq" // the driver of the database that is looked at in the end

	"troupe/choreo/sim"
	"troupe/test/simulate/play"
)

func main() {
	seed := flag.Uint64("seed", 1, "the first seed")
	seeds := flag.Int("seeds", 1, "how many seeds, from that on")
	sagas := flag.Int("sagas", 1000, "sagas per seed")
	calm := flag.Bool("calm", false, "without faults")
	verbose := flag.Bool("v", false, "print the trace as it comes")
	quiet := flag.Bool("q", false, "one line per seed that holds")
	workshop := flag.Bool("workshop", false, "the engine's own play, of every kind of reaction, in place of the product's")
	mutation := flag.String("mutation", "", "a safeguard to switch off, in a build with the tag mutations")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ok, err := simulate(ctx, options{*seed, *seeds, *sagas, *calm, *verbose, *quiet, *workshop, *mutation})
	if err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
	}
	if err != nil || !ok {
		stop()
		os.Exit(1) //nolint:gocritic // stop has been called
	}
}

type options struct {
	seed                           uint64
	seeds, sagas                   int
	calm, verbose, quiet, workshop bool
	mutation                       string
}

func simulate(ctx context.Context, o options) (ok bool, err error) {
	stage, err := play.Open(ctx)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, stage.Close()) }()
	ok = true
	for i := range o.seeds {
		so := sim.Options{Seed: o.seed + uint64(i), Sagas: o.sagas, Faults: !o.calm, Verbose: o.verbose, Mutation: o.mutation}
		run := stage.Product
		if o.workshop {
			run = stage.Workshop
		}
		report, err := run(ctx, so)
		if err != nil {
			return false, err
		}
		if report.OK() && o.quiet {
			fmt.Printf("seed %d: %d points in %v, digest: %s\n", report.Seed, report.Counts["points"], report.Took, report.Digest)
		} else {
			report.Write(os.Stdout)
		}
		ok = ok && report.OK()
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
	}
	return ok, nil
}
