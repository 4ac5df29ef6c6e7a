package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// misfortune is what one step of the plan breaks.
type misfortune string

const (
	kill         misfortune = "kill -9 of a process"
	rebalance    misfortune = "forced rebalance"
	kafkaAway    misfortune = "Kafka stopped"
	postgresDies misfortune = "kill -9 of Postgres"
	freezeRelay  misfortune = "relay stopped past its lease"
	freeze       misfortune = "consumers stopped past their leases"
)

// book is what has been done so far. It is kept in a file, so that an
// interrupted run goes on where it was.
type book struct {
	Seed   uint64         `json:"seed"`
	Next   int            `json:"next"` // of the plan
	Killed map[string]int `json:"killed"`
	Rounds []round        `json:"rounds"`
	Worked time.Duration  `json:"worked"`
	Before *counts        `json:"before"` // after the calm round

	plan []misfortune
	path string
	mu   sync.Mutex
}

// round is one run of the load.
type round struct {
	Seed  uint64 `json:"seed"`
	OK    bool   `json:"ok"`
	Took  string `json:"took"`
	Wrong string `json:"wrong,omitempty"`
}

func openBook(o options) (*book, error) {
	b := &book{Seed: o.seed, Killed: map[string]int{}, path: filepath.Join(o.dir, "book.json")}
	body, err := os.ReadFile(b.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		if err := json.Unmarshal(body, b); err != nil {
			return nil, fmt.Errorf("reading %s: %w", b.path, err)
		}
		if b.Seed != o.seed {
			return nil, fmt.Errorf("%s holds a run of seed %d: give -seed %d to resume it, or another -dir", o.dir, b.Seed, b.Seed)
		}
	}
	for what, n := range map[misfortune]int{
		kill: o.kills, rebalance: o.rebalances, kafkaAway: o.outages, postgresDies: o.crashes,
		freezeRelay: o.frozenRelays, freeze: o.frozen,
	} {
		for range n {
			b.plan = append(b.plan, what)
		}
	}
	// The map above has no order; this one has, of the seed.
	order := rand.New(rand.NewPCG(b.Seed, 0))
	slices.Sort(b.plan)
	order.Shuffle(len(b.plan), func(i, j int) { b.plan[i], b.plan[j] = b.plan[j], b.plan[i] })
	return b, nil
}

// write changes the book and keeps it.
func (b *book) write(change func()) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
	body, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(b.path+".new", body, 0o600); err != nil {
		return err
	}
	return os.Rename(b.path+".new", b.path)
}

// done counts what of the plan is behind us.
func (b *book) done() map[misfortune]int {
	n := map[misfortune]int{}
	for _, what := range b.plan[:b.Next] {
		n[what]++
	}
	return n
}
