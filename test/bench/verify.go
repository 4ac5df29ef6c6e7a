package main

import (
	"errors"
	"fmt"
	"slices"
)

// ledger is what is known of a stream in which each key's events are numbered
// 1, 2, 3, … It is told what was seen, in the order in which it was applied.
type ledger struct {
	want map[string]int   // key -> its last number
	seen map[string][]int // key -> numbers as they came
}

func newLedger() *ledger { return &ledger{want: map[string]int{}, seen: map[string][]int{}} }

// expects says that there is an event of that key and number.
func (l *ledger) expects(key string, n int) { l.want[key] = max(l.want[key], n) }

// saw says that an event was applied.
func (l *ledger) saw(key string, n int) { l.seen[key] = append(l.seen[key], n) }

// err is nil where every event was applied once and in the order of its key.
func (l *ledger) err() error {
	var lost, doubled, strange, reordered int
	for key, last := range l.want {
		numbers := l.seen[key]
		if !slices.IsSorted(numbers) {
			reordered++
		}
		distinct := slices.Compact(slices.Sorted(slices.Values(numbers)))
		doubled += len(numbers) - len(distinct)
		known := 0
		for _, n := range distinct {
			if n >= 1 && n <= last {
				known++
			}
		}
		lost += last - known
		strange += len(distinct) - known
	}
	for key, numbers := range l.seen {
		if l.want[key] == 0 {
			strange += len(numbers)
		}
	}
	var errs []error
	for _, wrong := range []struct {
		n    int
		what string
	}{{lost, "events lost"}, {doubled, "events applied twice"}, {strange, "events that nobody made"}, {reordered, "keys out of order"}} {
		if wrong.n > 0 {
			errs = append(errs, fmt.Errorf("%d %s", wrong.n, wrong.what))
		}
	}
	return errors.Join(errs...)
}

// The digest of an account is folded from the numbers of its events: it tells a
// lost, a doubled and a reordered one, and a batch can fold its part alone.
const (
	digestBase  = 31
	digestPrime = 1<<31 - 1 // two residues multiply without overflow in a bigint
)

// fold is what some events of one account in order do to its row:
// balance += amount, digest = (digest * mult + add) % digestPrime.
type fold struct{ amount, mult, add int64 }

func newFold() fold { return fold{mult: 1} }

func (f fold) then(n, amount int) fold {
	return fold{f.amount + int64(amount), f.mult * digestBase % digestPrime, (f.add*digestBase + int64(n)) % digestPrime}
}

// account is a row as it should be, or as it is.
type account struct{ balance, digest int64 }

// accounts are the rows that must have come of the events that the ledger
// expects, from rows that were all zero.
func (l *ledger) accounts() map[string]account {
	all := make(map[string]account, len(l.want))
	for key, last := range l.want {
		f := newFold()
		for n := 1; n <= last; n++ {
			f = f.then(n, amountOf(n))
		}
		all[key] = account{f.amount, f.add}
	}
	return all
}

// sameAccounts compares rows as they are with what must have come of them.
func sameAccounts(want, got map[string]account) error {
	wrong := 0
	for key, w := range want {
		if got[key] != w {
			wrong++
		}
	}
	for key, g := range got {
		if _, ok := want[key]; !ok && g != (account{}) {
			wrong++
		}
	}
	if wrong > 0 {
		return fmt.Errorf("%d accounts of %d are not as their events make them", wrong, len(want))
	}
	return nil
}
