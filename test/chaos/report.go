package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// counts are what the database holds.
type counts struct{ Facts, Sagas, Steps, Done, GaveUp, Open int }

func (c *cluster) count(ctx context.Context) (n counts, err error) {
	err = c.db.QueryRowContext(ctx, `
		select (select count(*) from choreo.event_log), (select count(distinct saga) from choreo.event_log),
		       count(*), count(*) filter (where state = 'done'), count(*) filter (where state = 'gave-up'),
		       count(*) filter (where state in ('waiting', 'calling', 'parked', 'unknown'))
		from choreo.steps`).Scan(&n.Facts, &n.Sagas, &n.Steps, &n.Done, &n.GaveUp, &n.Open)
	if err != nil {
		err = fmt.Errorf("counting: %w", err)
	}
	return n, err
}

// report waits until all is settled, checks everything that can be checked from
// outside, and prints it. What does not hold is an error.
func (c *cluster) report(ctx context.Context, b *book) error {
	for _, p := range c.parts {
		if !ready(ctx, c.url()+"/readyz") {
			fmt.Fprintf(os.Stderr, "waiting for the API before the sums (%s lived %d times)\n", p.name, p.lives)
			if err := wait(ctx, time.Second); err != nil {
				return err
			}
		}
	}
	out, verified := c.troupe(ctx, "demo", "--verify", "--url", c.url(), "--sandbox", c.sandboxURL(), "--wait", "3m")
	broker, err := c.readKafka(ctx)
	if err != nil {
		return err
	}
	after, err := c.count(ctx)
	if err != nil {
		return err
	}
	done := b.done()
	fmt.Println("\n# Chaos, seed", b.Seed)
	fmt.Printf("%d misfortunes in %v:\n", b.Next, b.Worked.Round(time.Second))
	for _, what := range slices.Sorted(maps.Keys(done)) {
		fmt.Printf("  %4d × %s\n", done[what], what)
	}
	for _, name := range slices.Sorted(maps.Keys(b.Killed)) {
		fmt.Printf("       %s: killed %d times\n", name, b.Killed[name])
	}
	fmt.Printf("\n           %10s %10s\n", "before", "after")
	for _, row := range []struct {
		name          string
		before, after int
	}{
		{"facts", b.Before.Facts, after.Facts}, {"sagas", b.Before.Sagas, after.Sagas}, {"steps", b.Before.Steps, after.Steps},
		{"done", b.Before.Done, after.Done}, {"given up", b.Before.GaveUp, after.GaveUp}, {"unfinished", b.Before.Open, after.Open},
	} {
		fmt.Printf("%-10s %10d %10d\n", row.name, row.before, row.after)
	}
	var wrong []error
	check := func(name, told string, bad []string) {
		verdict := "ok   "
		if len(bad) > 0 {
			verdict = "WRONG"
			wrong = append(wrong, fmt.Errorf("%s: %s", name, strings.Join(bad, "; ")))
		}
		fmt.Printf("%s  %s: %s\n", verdict, name, told)
		for _, line := range bad {
			fmt.Println("         ", line)
		}
	}
	fmt.Println()
	var rounds []string
	for _, r := range b.Rounds {
		if !r.OK {
			rounds = append(rounds, fmt.Sprintf("round of seed %d: %s", r.Seed, r.Wrong))
		}
	}
	check("load", fmt.Sprintf("%d rounds of %d sagas, each with sums of its own", len(b.Rounds), c.o.sagas), rounds)
	var sums []string
	if verified != nil {
		sums = []string{verified.Error()}
	}
	check("sums of everything", "`troupe demo --verify`\n         "+strings.ReplaceAll(strings.TrimSpace(string(out)), "\n", "\n         "), sums)
	check("Kafka against the log", broker.told, broker.wrong)
	for _, q := range questions {
		told, bad, err := ask(ctx, c.db, q)
		if err != nil {
			return err
		}
		check(q.name, told, bad)
	}
	return errors.Join(wrong...)
}
