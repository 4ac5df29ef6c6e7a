package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"troupe/choreo"
)

// What became of an event for a consumer, as its transactions committed it.
const (
	Emitted  = "emitted"  // a fact was committed
	Applied  = "applied"  // a reaction ran
	Skipped  = "skipped"  // an effect found nothing to call
	Intent   = "intent"   // a call is about to be made
	Recorded = "recorded" // a call's result was stored
	GaveUp   = "gave up"
)

// Note is something that a transaction committed: the truth that the engine's
// tables are held against.
type Note struct {
	N        int // its place among all
	At       time.Time
	Kind     string
	Consumer string // the emitter, of a fact
	Line     string
	Round    int // how often the step was redone
	Event    choreo.Meta
}

// Notes are all that was committed, in order.
func (s *Sim) Notes() []Note { return s.notes }

// Call is a call that was made, whatever came of it.
type Call struct {
	Consumer, Event, Saga, Key string
	Undeclared                 bool // no intent was committed before it
}

// emitting notes the ids of facts that a transaction is about to commit: one that
// runs again must give the facts of a reaction the same, but in another round.
func (s *Sim) emitting(p *process, t *table) {
	nth := map[string]int{}
	for _, row := range t.values {
		s.emitAt[t.text(row[0])] = len(s.notes)
		id, of := t.text(row[0]), t.text(row[5])+" "+t.text(row[4])+" "+t.text(row[1])
		if t.text(row[4]) == "" { // of a command
			continue
		}
		nth[of]++
		of = fmt.Sprintf("%s %d in round %d", of, nth[of], p.round(t.text(row[5]), t.text(row[4])))
		if before := s.ids[of]; before != "" && before != id {
			s.wrong = append(s.wrong, Violation{"what runs again emits the same ids", t.text(row[3]),
				fmt.Sprintf("%s: %s, and before %s", of, id, before)})
		}
		s.ids[of] = id
	}
}

// round is the one that the process is in with an event for a consumer.
func (p *process) round(consumer, event string) int {
	for _, n := range p.pending {
		if n.Consumer == consumer && n.Event.ID == event {
			return n.Round
		}
	}
	return 0
}

// committed takes over what a transaction has noted, with the facts it emitted.
func (s *Sim) committed(p *process, emitted *table, touchedSteps bool) {
	s.lists.dirty = s.lists.dirty || p != s.lists.busy
	for _, n := range p.pending {
		s.note(n)
		s.checkLease(p, n)
	}
	p.pending = nil
	if emitted != nil {
		for _, row := range emitted.values {
			text := func(i int) string { return emitted.text(row[i]) }
			s.note(Note{Kind: Emitted, Consumer: text(5), Event: choreo.Meta{ID: text(0), Type: text(1), Key: text(2),
				Saga: text(3), Causation: text(4), Emitter: text(5)}})
		}
		for _, r := range s.relays {
			r.dirty = true
		}
	}
	if touchedSteps {
		s.stepsStale.Store(true)
	}
}

func (s *Sim) note(n Note) {
	n.N, n.At = len(s.notes)+1, s.now
	s.notes = append(s.notes, n)
	s.counts[n.Kind]++
	if n.Kind == Intent {
		s.intended[n.Consumer+" "+n.Event.ID] = true
	}
	s.trace(n.Event.Saga, "  %s: %s %s %s of %s", n.Consumer, n.Kind, n.Event.Type, n.Event.ID, n.Event.Key)
}

// checkLease: of the processes that meant to make a call, only the last one may
// say what came of it; the others have lost their lease to it.
func (s *Sim) checkLease(p *process, n Note) {
	step := n.Consumer + " " + n.Event.ID
	switch {
	case n.Kind == Intent:
		s.holders[step], p.intent = p.id, step
	case (n.Kind == Recorded || n.Kind == GaveUp) && p.intent == step && s.holders[step] != p.id:
		s.wrong = append(s.wrong, Violation{"who has lost its lease changes nothing", n.Event.Saga,
			fmt.Sprintf("%s on %s %s: %s by #%d, when #%d had taken it over", n.Consumer, n.Event.Type, n.Event.ID, n.Kind, p.id, s.holders[step])})
	}
}

// watch has every reaction note what it did, and every call ask the scheduler.
func (s *Sim) watch(flow *choreo.Flow) {
	for _, c := range flow.Consumers() {
		for _, r := range c.Rules() {
			s.watchReaction(r)
			if r.Effect != nil {
				s.watchEffect(r)
			}
		}
	}
}

// errHandler is what a reaction fails with on the simulation's demand.
var errHandler = errors.New("the simulation has this reaction fail")

func (s *Sim) watchReaction(r *choreo.Rule) {
	if react := r.React; react != nil {
		r.React = func(ctx context.Context, tx *choreo.Tx, e any) error {
			if err := s.maybeFail(r); err != nil {
				return err
			}
			err := react(ctx, tx, e)
			if err == nil {
				s.pend(ctx, tx, Applied, r, e)
			}
			return err
		}
	}
	if react := r.ReactBatch; react != nil {
		r.ReactBatch = func(ctx context.Context, tx *choreo.Tx, events []any) error {
			if err := s.maybeFail(r); err != nil {
				return err
			}
			err := react(ctx, tx, events)
			for _, e := range events {
				if err == nil {
					s.pend(ctx, tx, Applied, r, e)
				}
			}
			return err
		}
	}
	if giveUp := r.GiveUp; giveUp != nil {
		r.GiveUp = func(ctx context.Context, tx *choreo.Tx, e any, cause error) (choreo.Fact, error) {
			fact, err := giveUp(ctx, tx, e, cause)
			if p, m := processOf(ctx), metaOf(e); err == nil {
				s.pend(ctx, tx, GaveUp, r, e)
				if !p.tried {
					s.wrong = append(s.wrong, Violation{"gives up only after an attempt", m.Saga,
						fmt.Sprintf("%s on %s %s", r.Consumer, m.Type, m.ID)})
				}
			}
			return fact, err
		}
	}
}

// maybeFail has a reaction fail now and then, for itself and no other: such an
// event is set aside, and its line waits.
func (s *Sim) maybeFail(r *choreo.Rule) error {
	if r.InTransaction || s.draining || !s.o.Faults || !s.chance(0.01) {
		return nil
	}
	s.counts["reactions failed"]++
	return errHandler
}

func (s *Sim) watchEffect(r *choreo.Rule) {
	f := *r.Effect
	watched := f
	watched.Load = func(ctx context.Context, tx *choreo.Tx, e any) (any, error) {
		in, err := f.Load(ctx, tx, e)
		processOf(ctx).tried = err != nil
		switch {
		case err == nil:
			s.pend(ctx, tx, Intent, r, e)
		case errors.Is(err, choreo.Skip):
			s.pend(ctx, tx, Skipped, r, e)
		}
		return in, err
	}
	watched.Call = func(ctx context.Context, key string, e, in any) (any, error) {
		p, m := processOf(ctx), metaOf(e)
		p.saga, p.calls, p.tried = m.Saga, r.Consumer, true
		if p.dead {
			return nil, errDied
		}
		s.overlap(p, r.Consumer, m)
		p.inCall = r.Consumer + " " + m.ID
		defer func() { p.inCall = "" }()
		switch p.park(atCall, "calls") {
		case crash:
			p.dead = true
			return nil, errDied
		case fail:
			return nil, errors.New("the simulated provider does not answer")
		}
		if s.now.Sub(p.clock) > callTimeout {
			return nil, context.DeadlineExceeded // it was stopped for longer than a call may take
		}
		s.counts["calls"]++
		s.calls = append(s.calls, Call{r.Consumer, m.ID, m.Saga, key, !s.intended[r.Consumer+" "+m.ID]})
		out, err := f.Call(ctx, key, e, in)
		s.trace(m.Saga, "  call of %s under %s%s", r.Consumer, key, outcomeOf(err))
		switch p.park(atCalled, "has called") {
		case crash:
			p.dead = true
			return nil, errDied
		case failAfter:
			return nil, errors.New("the simulated provider's answer was lost")
		}
		return out, err
	}
	watched.Record = func(ctx context.Context, tx *choreo.Tx, e, out any) error {
		err := f.Record(ctx, tx, e, out)
		if err == nil {
			s.pend(ctx, tx, Recorded, r, e)
		}
		return err
	}
	if f.Ask != nil {
		watched.Ask = func(ctx context.Context, key string, e any) (any, bool, error) {
			p := processOf(ctx)
			if p.dead {
				return nil, false, errDied
			}
			if p.park(atAsk, "asks") == fail {
				p.tried = true
				return nil, false, errors.New("the simulated provider cannot say")
			}
			s.counts["asked"]++
			out, happened, err := f.Ask(ctx, key, e)
			p.tried = p.tried || err != nil
			return out, happened, err
		}
	}
	r.Effect = &watched
}

// overlap notes a call of a step that another process is calling, and whose lease
// has not ended.
func (s *Sim) overlap(p *process, consumer string, m choreo.Meta) {
	for _, q := range s.live {
		if q != p && !q.dead && q.inCall == consumer+" "+m.ID && p.clock.Before(q.clock.Add(leaseOfCall)) && q.clock.Before(p.clock) {
			s.wrong = append(s.wrong, Violation{"a call has one caller while its lease lasts", m.Saga,
				fmt.Sprintf("%s on %s %s by #%d and #%d", consumer, m.Type, m.ID, q.id, p.id)})
		}
	}
}

// leaseOfCall is how long a runner has a step to itself.
const leaseOfCall = 10 * time.Second

// callTimeout bounds a call: one that was begun longer ago than that has no
// effect any more.
const callTimeout = 30 * time.Second

// pend notes something that counts once the transaction has committed.
func (s *Sim) pend(ctx context.Context, tx *choreo.Tx, kind string, r *choreo.Rule, e any) {
	p := processOf(ctx)
	m := metaOf(e)
	if len(p.pending) == 0 || p.saga == "" {
		p.saga = m.Saga
	}
	p.pending = append(p.pending, Note{Kind: kind, Consumer: r.Consumer, Line: r.Line(e), Round: tx.Round(), Event: m})
}

// metaOf is the Meta of an event whose type is erased.
func metaOf(e any) choreo.Meta {
	return reflect.ValueOf(e).Elem().FieldByName("Meta").Interface().(choreo.Meta)
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
