// Chaos runs the built binary on a real Kafka and a real Postgres under load,
// and breaks it: kill -9 of its processes at random times, forced rebalances,
// processes stopped past their leases and resumed, Kafka away for half a minute,
// Postgres killed. In the end it adds up: nothing lost, nothing done twice, no
// key out of order, nothing undone because of an outage.
//
// It is bounded, and resumable: interrupted, it goes on where it was when it is
// started again on the same directory.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

type options struct {
	dir, binary           string
	seed                  uint64
	kills, rebalances     int
	outages, crashes      int // of Kafka, of Postgres
	frozenRelays, frozen  int // SIGSTOP
	sagas                 int
	outage, longest, pace time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", filepath.Join(os.TempDir(), "troupe-chaos"), "where everything is kept; the same directory resumes")
	flag.StringVar(&o.binary, "binary", "bin/troupe", "the binary to break")
	flag.Uint64Var(&o.seed, "seed", 1, "draws what is broken, and when")
	flag.IntVar(&o.kills, "kills", 200, "kill -9 of a relay, a process of consumers or the API")
	flag.IntVar(&o.rebalances, "rebalances", 50, "a further process of consumers that comes and goes")
	flag.IntVar(&o.outages, "kafka", 1, "times that Kafka is stopped")
	flag.DurationVar(&o.outage, "outage", 30*time.Second, "how long Kafka is away")
	flag.IntVar(&o.crashes, "postgres", 4, "kill -9 of Postgres")
	flag.IntVar(&o.frozenRelays, "frozen-relays", 4, "relays stopped past their lease, and resumed")
	flag.IntVar(&o.frozen, "frozen-consumers", 2, "processes of consumers stopped past their leases, and resumed")
	flag.IntVar(&o.sagas, "sagas", 120, "sagas per round of the load; rounds follow each other to the end")
	flag.DurationVar(&o.pace, "pace", 2*time.Second, "between two misfortunes, on average")
	flag.DurationVar(&o.longest, "for", 25*time.Minute, "stop breaking after that long; resume to go on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has been called
	}
}

func run(ctx context.Context, o options) (err error) {
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return err
	}
	b, err := openBook(o)
	if err != nil {
		return err
	}
	c, err := startCluster(ctx, o, b)
	if err != nil {
		return fmt.Errorf("starting the system: %w", err)
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	if err := c.calm(ctx, o, b); err != nil {
		return err
	}
	load := startLoad(ctx, c, o, b)
	breaking, cancel := context.WithTimeout(ctx, o.longest)
	broken := c.breakAll(breaking, b)
	cancel()
	if err := load.finish(ctx); err != nil {
		return errors.Join(broken, err)
	}
	if broken != nil {
		return fmt.Errorf("%w (start it again to go on: %d of %d misfortunes are done)", broken, b.Next, len(b.plan))
	}
	return c.report(ctx, b)
}
