// Package consume takes records from Kafka, or events from the log, to the
// consumers of a flow, a batch in one transaction. What it has taken it knows
// by a watermark per topic partition, which never forgets and does not grow: a
// record that comes again changes nothing, and one that Kafka lost is noticed
// and read from the log.
package consume

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"troupe/choreo"
	"troupe/choreo/broker"
	"troupe/choreo/internal/safeguard"
	"troupe/choreo/steps"
	"troupe/choreo/wire"
)

// Outcome is what became of a record for one consumer.
type Outcome string

// Outcomes of a record.
const (
	Applied   Outcome = "applied"   // the reaction ran
	Enqueued  Outcome = "enqueued"  // it became a step
	Duplicate Outcome = "duplicate" // it had come before
	Ignored   Outcome = "ignored"   // not for this consumer
	Undone    Outcome = "undone"    // its undo had come before it
	Unknown   Outcome = "unknown"   // of a type that this binary does not know
	Malformed Outcome = "malformed" // no event, or no fact of its type: kept in quarantine
	Lost      Outcome = "lost"      // of a timeline that a restore took back: kept in quarantine
	Healed    Outcome = "healed"    // Kafka had lost it; it was read from the log
)

// ErrGap is a hole in a topic partition that the log cannot fill.
var ErrGap = errors.New("events are missing on Kafka and in the log")

// ErrUndecided is an event that bears our source and is not in the log, and no
// relay has read past it: somebody else made it, or a restore took it back. A
// relay that runs decides within a second; where it refuses, `troupe source new`
// does.
var ErrUndecided = errors.New("an event of our source is not in the log: it waits for a relay to tell whether the database was set back")

// ErrPaused is a consumer that an operator holds still.
var ErrPaused = errors.New("the consumer is paused")

// Counts says how many records came to which outcome.
type Counts map[Outcome]int

// Applier applies events for one consumer: Batch, one call at a time per
// partition. The consumer's home may be another database than that of the log.
type Applier struct {
	DB       *choreo.DB // of the log
	Consumer *choreo.Consumer
	Enqueued func() // called after a step was put

	culprits atomic.Pointer[culprits]
	passed   sync.Map // place -> a sequence that the watermark has certainly passed

	earlierTaken sync.Map // broker.Tail -> true: nothing is left of earlier sources there
}

// home is the database of the consumer's transactions.
func (a *Applier) home() *choreo.DB { return a.DB.Home(a.Consumer) }

// log is where a transaction of the consumer reads the log: in itself, unless
// the log is in another database. There, an event that was published stands in
// the log for whoever looks later.
func (a *Applier) log(tx *sql.Tx) choreo.Querier {
	if home := a.home(); home.Log() != home.Pool() {
		return home.Log()
	}
	return tx
}

// culprits are events that failed one after another with one SQLSTATE.
type culprits struct {
	state string
	n     int
}

// brokenAfter culprits in a row with one SQLSTATE it is not the events' fault.
const brokenAfter = 20

// arrival is one event on its way into the consumer.
type arrival struct {
	record *wire.Record // nil where it comes from the log
	meta   choreo.Meta
	data   []byte
	place  place
	mark   *mark // of its place, in the transaction under way; nil where it is not ours
	own    bool  // it bears our source
	copied bool  // it is a copy of one of ours, at a place that is not its own

	rule    *choreo.Rule // nil: there is nothing to do for it
	event   any
	unread  error // why there is no event
	line    string
	factKey string

	sorted  Outcome // what it is at sight: Ignored, Unknown, Malformed, or nothing yet
	outcome Outcome // what became of it in the transaction under way
	bad     error   // why it is malformed
	healed  bool

	position int64 // in the log, where it comes from there
}

// place is where an event of ours has its sequence.
type place struct {
	source    string
	topic     string
	partition int32
}

// Batch applies a batch. An error means that nothing of it, or not all, could be
// done now, and that it is to be given again; whatever is the fault of one
// record is an outcome of it.
func (a *Applier) Batch(ctx context.Context, b *broker.Batch) (Counts, error) {
	if len(b.Records) == 0 { // at the end of its partitions, as most are most of the time
		if behind, err := a.behind(ctx, b.Tails); err != nil || !behind {
			return nil, err
		}
	}
	if len(b.Tails) == 0 && a.allPassed(b.Records) {
		return Counts{Duplicate: len(b.Records)}, nil
	}
	arrivals, ready := b.Prepared().([]*arrival)
	if !ready {
		arrivals = a.readAll(b.Records)
	}
	return a.take(ctx, arrivals, b.Tails)
}

// isHeld tells that a batch cannot be applied now, whoever is in it.
func isHeld(err error) bool {
	return errors.Is(err, ErrGap) || errors.Is(err, ErrUndecided) || errors.Is(err, ErrPaused)
}

func (a *Applier) readAll(records []*wire.Record) []*arrival {
	arrivals, room := make([]*arrival, len(records)), make([]arrival, len(records))
	var p wire.Parser
	for i, r := range records {
		arrivals[i] = &room[i]
		a.read(&p, r, arrivals[i])
	}
	return arrivals
}

// Ahead reads records whose turn has not come, and their facts: it is for the
// batch that waits while another is applied.
func (a *Applier) Ahead(records []*wire.Record) any {
	if a.allPassed(records) {
		return nil
	}
	arrivals := a.readAll(records)
	for _, v := range arrivals {
		v.decode()
	}
	return arrivals
}

// allPassed tells, without asking the database, that all records say that they
// are events of ours at or below the watermarks, which only rise: a replay of
// what was taken long ago is skipped about as fast as it can be read.
func (a *Applier) allPassed(records []*wire.Record) bool {
	var at place
	var passed int64
	for _, r := range records {
		source, sequence := wire.Sequence(r)
		if sequence == 0 {
			return false
		}
		if at.partition != r.Partition || at.topic != r.Topic || at.source != string(source) {
			at = place{string(source), r.Topic, r.Partition}
			known, _ := a.passed.Load(at)
			passed, _ = known.(int64)
		}
		if sequence > passed {
			return false
		}
	}
	return len(records) > 0
}

// take applies arrivals, healing first what is missing before or behind them;
// a hole that is larger than a batch takes several transactions.
func (a *Applier) take(ctx context.Context, arrivals []*arrival, tails []broker.Tail) (Counts, error) {
	counts := Counts{}
	for more := true; more; {
		t := &transaction{Applier: a, arrivals: arrivals, tails: tails}
		err := a.home().InUnitBegun(ctx, t.begin, t.run)
		if err != nil && ctx.Err() == nil && !choreo.IsInfrastructure(err) && !choreo.IsBroken(err) && !isHeld(err) {
			t = &transaction{Applier: a, arrivals: arrivals, tails: tails, oneByOne: true}
			err = a.home().InUnitBegun(ctx, t.begin, t.run)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.Consumer.Name, err)
		}
		for p, m := range t.marks.marks {
			a.passed.Store(p, m.sequence)
		}
		if !t.more {
			for _, tail := range t.follow {
				a.earlierTaken.Store(tail, true)
			}
		}
		for _, r := range t.done {
			counts[r.outcome]++
			if r.healed {
				counts[Healed]++
			}
		}
		if !t.oneByOne && counts[Applied] > 0 {
			a.culprits.Store(nil)
		}
		if a.Enqueued != nil && counts[Enqueued] > 0 {
			a.Enqueued()
		}
		more = t.more
	}
	return counts, nil
}

// read makes an arrival of a record; it asks nothing of the database.
func (a *Applier) read(p *wire.Parser, r *wire.Record, v *arrival) {
	v.record = r
	if v.meta, v.data, v.bad = p.Parse(r); v.bad != nil {
		v.sorted = Malformed
		return
	}
	v.place = place{v.meta.Source, r.Topic, r.Partition}
	v.own = strings.HasPrefix(v.meta.Source, choreo.Origin(a.DB.Source()))
	a.bind(v)
}

// bind finds the rule of an arrival.
func (a *Applier) bind(v *arrival) {
	rule := a.Consumer.Rule(v.meta.Type)
	switch {
	case rule == nil && a.DB.Flow().Knows(v.meta.Type), slices.Contains(v.meta.RanIn, a.Consumer.Name):
		v.sorted = Ignored
		return
	case rule == nil:
		v.sorted = Unknown
		return
	}
	v.rule = rule
}

// open takes the fact of an arrival that has not come before.
func (v *arrival) open() {
	v.decode()
	if v.unread != nil {
		v.rule, v.bad, v.sorted, v.outcome = nil, v.unread, Malformed, Malformed
	}
}

// decode reads the fact, where there is something to do for it.
func (v *arrival) decode() {
	if v.rule == nil || v.event != nil || v.unread != nil {
		return
	}
	if v.event, v.unread = v.rule.Decode(v.meta, v.data); v.unread == nil {
		v.line, v.factKey = v.rule.Line(v.event), v.rule.FactKey(v.event)
	}
}

// transaction is the transaction of one batch.
type transaction struct {
	*Applier
	arrivals []*arrival
	tails    []broker.Tail
	oneByOne bool // the second try: each event under a savepoint

	follow []broker.Tail // partitions on which events of an earlier source come first
	marks  *watermarks
	busy   bool // the consumer has unfinished steps

	done []*arrival // what this transaction took care of
	more bool       // a hole is not healed to its end yet
	put  []steps.New
}

// run sorts out what has come before, applies the rest in order and advances.
// Lock order: watermarks, barriers and lines, steps, then the handler's rows.
func (t *transaction) run(ctx context.Context, u *choreo.Unit) error {
	for _, v := range t.arrivals {
		v.outcome = v.sorted
	}
	if err := u.Enter(ctx, t.Consumer); err != nil {
		return err
	}
	w := t.marks
	fresh, err := t.sift(ctx, u, w)
	if err != nil {
		return err
	}
	for _, v := range fresh {
		v.open()
	}
	todo := slices.DeleteFunc(slices.Clone(fresh), func(v *arrival) bool { return v.outcome != "" })
	if err := t.prepare(ctx, u, todo); err != nil {
		return err
	}
	if err := t.react(ctx, u, todo); err != nil {
		return err
	}
	if len(todo) > 0 {
		u.Of(t.Consumer.Name)
	}
	for _, v := range fresh {
		switch v.outcome {
		case Malformed, Lost:
			err = t.quarantine(ctx, u, v)
		case Unknown:
			t.keepUnknown(v)
		}
		if err != nil {
			return err
		}
	}
	if err := steps.Put(ctx, u, t.put...); err != nil {
		return err
	}
	t.done = append(t.done, fresh...)
	return w.advance(ctx, u)
}

// prepare takes the locks that let an event pass its undo, and the other half
// of a join, one at a time, and finds what was undone before it came. Without
// the lock of a join, both halves see "not yet".
func (t *transaction) prepare(ctx context.Context, u *choreo.Unit, todo []*arrival) error {
	undoable, shares := len(t.DB.Flow().UndoneBy(t.Consumer.Name)) > 0, t.Consumer.SharesLines()
	var barriers, lines []string
	for _, v := range todo {
		if undoable {
			barriers = append(barriers, steps.Barrier(v.meta.Saga, t.Consumer.Name, v.factKey))
		}
		if v.rule.Effect == nil {
			for _, target := range v.rule.Undoes {
				barriers = append(barriers, steps.Barrier(v.meta.Saga, target, v.factKey))
			}
		}
		if shares || v.rule.Effect != nil {
			lines = append(lines, steps.LineLock(t.Consumer.Name, v.line))
		}
	}
	if safeguard.Off("join lock") {
		lines = nil
	}
	if err := steps.Lock(ctx, u, append(barriers, lines...)); err != nil {
		return err
	}
	if !undoable {
		return nil
	}
	for _, v := range todo {
		before, err := steps.UndoneBefore(ctx, u, t.Consumer.Name, v.meta, v.factKey)
		if err != nil {
			return err
		}
		if before {
			v.outcome = Undone
		}
	}
	return nil
}

// keepUnknown keeps an event of ours whose type this binary does not know for
// one that does; one of somebody else's is only counted.
func (t *transaction) keepUnknown(v *arrival) {
	if v.own {
		t.put = append(t.put, steps.New{Consumer: t.Consumer.Name, Meta: v.meta, Data: v.data, FactKey: v.meta.Key,
			Line: v.meta.Key, State: steps.Unknown})
	}
}
