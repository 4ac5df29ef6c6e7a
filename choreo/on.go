package choreo

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"time"
)

// Effect is a reaction that talks to the outside, in three parts. Load reads
// what the call needs inside a transaction and may emit and return Skip; its
// commit is the intent. Call talks to the outside, in no transaction, and may
// be repeated under the same idempotency key. Record stores the result and
// emits, in the transaction that ends the step. In is never stored, and loaded
// again after a crash; Out is kept as JSON in the step and must hold no
// personal data, token or card.
//
// An effect may also have Ask(ctx, key) (Out, bool, error): did it happen? Where
// the key alone does not say where to look, it is Ask(ctx, key, event). Without
// an error, false is for certain; who cannot say returns ErrOutcomeUnknown. It is
// asked before a call is repeated that the provider may have forgotten, before
// the step gives up, and, where even then nobody could say, for a month after.
type Effect[F Fact, In, Out any] interface {
	Load(ctx context.Context, tx *Tx, e Event[F]) (In, error)
	Call(ctx context.Context, key string, e Event[F], in In) (Out, error)
	Record(ctx context.Context, tx *Tx, e Event[F], out Out) error
}

// Reaction is a line of the flow: a consumer and one fact it reacts to. Its
// methods are options and return it.
type Reaction[F Fact] struct {
	rule      Rule
	fact      F
	emits     []Fact
	failsWith []Fact
}

// On makes a reaction that runs inside the engine's transaction, with no
// network call inside.
func On[F Fact](consumer string, react func(context.Context, *Tx, Event[F]) error) *Reaction[F] {
	r := newReaction[F](consumer)
	r.rule.React = func(ctx context.Context, tx *Tx, e any) (err error) {
		defer guard(&err)
		return react(ctx, tx, *e.(*Event[F]))
	}
	return r
}

// OnBatch makes a reaction that runs over all its events of a batch at once, in
// order, for set-based SQL on hot paths. It emits with Tx.EmitFor. Events of one
// key come in order; a failure has the batch run again one event at a time.
func OnBatch[F Fact](consumer string, react func(context.Context, *Tx, []Event[F]) error) *Reaction[F] {
	r := newReaction[F](consumer)
	r.rule.ReactBatch = func(ctx context.Context, tx *Tx, events []any) (err error) {
		defer guard(&err)
		typed := make([]Event[F], len(events))
		for i, e := range events {
			typed[i] = *e.(*Event[F])
		}
		return react(ctx, tx, typed)
	}
	r.rule.React = func(ctx context.Context, tx *Tx, e any) error { return r.rule.ReactBatch(ctx, tx, []any{e}) }
	return r
}

// OnEffect makes a reaction that talks to the outside.
func OnEffect[F Fact, In, Out any](consumer string, effect Effect[F, In, Out]) *Reaction[F] {
	r := newReaction[F](consumer)
	rule := &EffectRule{
		Load: func(ctx context.Context, tx *Tx, e any) (in any, err error) {
			defer guard(&err)
			return effect.Load(ctx, tx, *e.(*Event[F]))
		},
		Call: func(ctx context.Context, key string, e, in any) (out any, err error) {
			defer guard(&err)
			return effect.Call(ctx, key, *e.(*Event[F]), in.(In))
		},
		Record: func(ctx context.Context, tx *Tx, e, out any) (err error) {
			defer guard(&err)
			return effect.Record(ctx, tx, *e.(*Event[F]), out.(Out))
		},
	}
	if asker, ok := effect.(interface {
		Ask(ctx context.Context, key string) (Out, bool, error)
	}); ok {
		rule.Ask = func(ctx context.Context, key string, _ any) (out any, happened bool, err error) {
			defer guard(&err)
			return asker.Ask(ctx, key)
		}
	}
	if asker, ok := effect.(interface {
		Ask(ctx context.Context, key string, e Event[F]) (Out, bool, error)
	}); ok {
		rule.Ask = func(ctx context.Context, key string, e any) (out any, happened bool, err error) {
			defer guard(&err)
			return asker.Ask(ctx, key, *e.(*Event[F]))
		}
	}
	r.rule.Effect = rule
	return r
}

// guard turns a panic of a handler into its error: it is the fault of one event,
// and its neighbours go on.
func guard(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
	}
}

func newReaction[F Fact](consumer string) *Reaction[F] {
	r := &Reaction[F]{}
	r.rule = Rule{
		Consumer: consumer, On: r.fact.FactType(), fact: r.fact, Decode: decode[F],
		Line:    func(e any) string { return e.(*Event[F]).Fact.Key() },
		FactKey: func(e any) string { return e.(*Event[F]).Fact.Key() },
		Retry:   RetryPolicy{Base: 200 * time.Millisecond, Factor: 2, Most: time.Minute, Tries: 12},
	}
	return r
}

// Emits says which facts may come of success.
func (r *Reaction[F]) Emits(facts ...Fact) *Reaction[F] {
	r.emits = append(r.emits, facts...)
	return r
}

// FailsWith says which facts may come of failure, also that of giving up.
func (r *Reaction[F]) FailsWith(facts ...Fact) *Reaction[F] {
	r.failsWith = append(r.failsWith, facts...)
	return r
}

// GivesUp says that an effect gives up right after an attempt that failed, once
// this long has passed since the first, or at once when refused, with the fact
// that build makes in the step's transaction.
func (r *Reaction[F]) GivesUp(after time.Duration, build func(context.Context, *Tx, Event[F], error) (Fact, error)) *Reaction[F] {
	r.rule.GiveUpAfter = after
	r.rule.GiveUp = func(ctx context.Context, tx *Tx, e any, cause error) (fact Fact, err error) {
		defer guard(&err)
		return build(ctx, tx, *e.(*Event[F]), cause)
	}
	return r
}

// Undoes names the commands and consumers whose work of the same saga and key
// this reaction takes back.
func (r *Reaction[F]) Undoes(names ...string) *Reaction[F] {
	r.rule.Undoes = append(r.rule.Undoes, names...)
	return r
}

// Calls names the provider that the effect talks to, as a line Provider of the
// flow names it: its limit and its outages are shared by all that call it.
func (r *Reaction[F]) Calls(provider string) *Reaction[F] { r.rule.Calls = provider; return r }

// Irreversible says why nothing undoes this reaction.
func (r *Reaction[F]) Irreversible(reason string) *Reaction[F] {
	r.rule.Irreversible = reason
	return r
}

// Keeps says why the reaction's work harms nobody when it is left.
func (r *Reaction[F]) Keeps(reason string) *Reaction[F] { r.rule.Keeps = reason; return r }

// Line orders the reaction's steps by another id than the record key.
func (r *Reaction[F]) Line(of func(Event[F]) string) *Reaction[F] {
	r.rule.Line = func(e any) string { return of(*e.(*Event[F])) }
	r.rule.OwnLine = true
	return r
}

// Joins says that the consumer acts only when all facts of its lines have come
// for one saga and key, in any order; the handler decides that from its rows.
func (r *Reaction[F]) Joins() *Reaction[F] { r.rule.Joins = true; return r }

// From says where the consumer begins when it is registered: at the beginning,
// or at the present head of its topics.
func (r *Reaction[F]) From(p Position) *Reaction[F] { r.rule.From = p; return r }

// Within says by when the reaction is expected to have run: past it the saga
// is shown as overdue, nothing else.
func (r *Reaction[F]) Within(d time.Duration) *Reaction[F] { r.rule.Within = d; return r }

// After delays the reaction by d from the event's arrival: only then it joins its
// line, behind what has come for it meanwhile.
func (r *Reaction[F]) After(d time.Duration) *Reaction[F] { r.rule.After = d; return r }

// Retry sets how a failed step is tried again.
func (r *Reaction[F]) Retry(p RetryPolicy) *Reaction[F] { r.rule.Retry = p; return r }

// InTransaction runs the reaction inside the transaction that emits the fact.
func (r *Reaction[F]) InTransaction() *Reaction[F] { r.rule.InTransaction = true; return r }

// Parallel says that the consumer touches no row shared between keys: batches of
// its partitions run side by side.
func (r *Reaction[F]) Parallel() *Reaction[F] { r.rule.Parallel = true; return r }

// Local feeds the consumer from the log instead of Kafka.
func (r *Reaction[F]) Local() *Reaction[F] { r.rule.Local = true; return r }

// View says that the reaction projects facts into a read model: it emits
// nothing, undoes nothing, and no saga waits for it.
func (r *Reaction[F]) View() *Reaction[F] { r.rule.View = true; return r }

// Except says why a rule of the static checker (1 to 5, see choreo/check) does
// not hold for this line. One that excuses nothing is a finding of its own.
func (r *Reaction[F]) Except(rule int, reason string) *Reaction[F] {
	r.rule.Excepts = append(r.rule.Excepts, Exception{Rule: rule, Reason: reason})
	return r
}

func (r *Reaction[F]) addTo(f *Flow) error {
	rule := r.rule
	f.know(r.fact)
	rule.Emits, rule.FailsWith = f.know(r.emits...), f.know(r.failsWith...)
	rule.Domain = f.domain[rule.On]
	if f.commands[rule.Consumer] != nil {
		return fmt.Errorf("the name %q is used twice", rule.Consumer)
	}
	if rule.View && len(rule.Emits)+len(rule.FailsWith)+len(rule.Undoes) > 0 {
		return fmt.Errorf("%s is a view: it emits and undoes nothing", rule.Consumer)
	}
	if rule.Domain && !rule.InTransaction {
		return fmt.Errorf("%s reacts to the domain fact %s: it must be InTransaction()", rule.Consumer, rule.On)
	}
	if rule.Effect != nil && rule.InTransaction {
		return fmt.Errorf("%s is an effect: it cannot be InTransaction()", rule.Consumer)
	}
	c := f.consumers[rule.Consumer]
	if c == nil {
		c = &Consumer{Name: rule.Consumer}
		f.consumers[c.Name] = c
		f.order = append(f.order, c.Name)
	}
	if len(rule.Undoes) > 0 && rule.ReactBatch != nil {
		return fmt.Errorf("%s is a batch reaction: it cannot undo a step", rule.Consumer)
	}
	if c.Rule(rule.On) != nil {
		return fmt.Errorf("%s reacts twice to %s", c.Name, rule.On)
	}
	if len(c.rules) > 0 && c.Local() != rule.Local {
		return fmt.Errorf("%s is Local() on one line and not on another", c.Name)
	}
	c.rules = append(c.rules, &rule)
	return nil
}

// Undoing is the step that an undo takes back.
type Undoing[R any] struct {
	Step   string // the consumer
	Key    string // the idempotency key to ask the provider by
	Begun  bool   // its intent was committed: it may have done something
	Known  bool   // Result is its result
	Result R
}

// Target is an Undoing whose result is still JSON.
type Target struct {
	Step   string
	Key    string
	Begun  bool
	Result json.RawMessage // nil where it is not known
}

// UndoOf is the step that this reaction undoes, the first where it undoes
// several; ok is false where it undoes no consumer's step. R is the step's Out,
// or any type for a plain reaction. The step runs no more: it has ended, or it
// is stopped.
func UndoOf[R any](tx *Tx) (u Undoing[R], ok bool) {
	if len(tx.targets) == 0 {
		return u, false
	}
	t := tx.targets[0]
	u = Undoing[R]{Step: t.Step, Key: t.Key, Begun: t.Begun}
	if t.Result != nil && json.Unmarshal(t.Result, &u.Result) == nil {
		u.Known = true
	}
	return u, true
}
