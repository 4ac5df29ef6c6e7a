package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"
)

// breakAll goes through what is left of the plan. What it has begun it ends: a
// stopped process is resumed, a server is started again.
func (c *cluster) breakAll(ctx context.Context, b *book) error {
	for b.Next < len(b.plan) {
		draw := rand.New(rand.NewPCG(b.Seed, uint64(b.Next)+1))
		pause := time.Duration(float64(c.o.pace) * (0.1 + 1.8*draw.Float64()))
		if err := wait(ctx, pause); err != nil {
			return err
		}
		what, began := b.plan[b.Next], time.Now()
		on, err := c.misfortune(what, draw)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		took := time.Since(began)
		fmt.Fprintf(os.Stderr, "%s  %3d of %d  %s  %s (%v)\n", began.Format(time.TimeOnly), b.Next+1, len(b.plan), what, on, took.Round(time.Millisecond))
		if err := b.write(func() {
			b.Next++
			b.Worked += took + pause
			if what == kill {
				b.Killed[on]++
			}
		}); err != nil {
			return err
		}
	}
	return nil
}

// misfortune breaks one thing, and tells which.
func (c *cluster) misfortune(what misfortune, draw *rand.Rand) (on string, err error) {
	// Not the run's context: what is stopped has to be started again.
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	switch what {
	case kill:
		p := c.parts[draw.IntN(len(c.parts))]
		if err := p.signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return p.name, err
		}
		return p.name, nil
	case rebalance:
		return "consumers-3", c.guest(ctx)
	case kafkaAway:
		if err := c.kafka(ctx, "stop"); err != nil {
			return "", err
		}
		_ = wait(ctx, c.o.outage)
		return c.o.outage.String(), c.kafka(ctx, "start")
	case postgresDies:
		return "", c.crashPostgres(ctx)
	case freezeRelay:
		return c.freeze(ctx, c.parts[1+draw.IntN(2)], 5*time.Second) // of 2 s
	case freeze:
		return c.freeze(ctx, c.parts[3+draw.IntN(2)], 40*time.Second) // of 30 s, and Kafka's 10 s
	}
	return "", errors.New("not in the plan")
}

// guest has a process of consumers come, and go as soon as it has joined.
func (c *cluster) guest(ctx context.Context) error {
	address := "127.0.0.1:" + strconv.Itoa(c.ports.next+1)
	p, err := launch(c.o.dir, c.o.binary, "consumers-3", c.env, append([]string{"run", "--http", address}, c.all...)...)
	if err != nil {
		return err
	}
	defer p.stop(10 * time.Second)
	joined, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for !ready(joined, "http://"+address+"/readyz") {
		if wait(joined, 100*time.Millisecond) != nil {
			return nil // it tried, which is a rebalance too
		}
	}
	return nil
}

// freeze stops a process for a while: it then is a zombie that wakes.
func (c *cluster) freeze(ctx context.Context, p *process, d time.Duration) (string, error) {
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return p.name, err
	}
	_ = wait(ctx, d)
	return p.name, p.signal(syscall.SIGCONT)
}

func ready(ctx context.Context, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	return answer.Body.Close() == nil && answer.StatusCode == http.StatusOK
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
