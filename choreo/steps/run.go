package steps

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	mrand "math/rand/v2"
	"time"

	"troupe/choreo"
	"troupe/choreo/internal/crashpoint"
	"troupe/choreo/internal/safeguard"
)

// Options of a Runner; the zero value is sound.
type Options struct {
	Lease       time.Duration  // of a call, renewed while it runs; 10 s by default
	CallTimeout time.Duration  // bounds one call, which may be several requests; 2 min by default
	Concurrency int            // steps of one consumer at the same time; 64 by default
	Jitter      func() float64 // in [0,1); math/rand by default
	Log         *slog.Logger

	// Provider is told when a provider stops to answer, and when it answers again;
	// it may be nil.
	Provider func(name string, down bool)
	// Clock paces the tries while a provider does not answer; time.Now by default.
	Clock func() time.Time

	// Unrenewed leaves leases as they were taken: for a simulation, where a
	// call takes no time of ours.
	Unrenewed bool
}

// Runner runs the steps of some consumers of a flow. Several may run the same
// consumers against one database: a step is leased to one of them at a time.
type Runner struct {
	db        *choreo.DB
	consumers []*choreo.Consumer
	o         Options
	wake      chan struct{}
	process   string
	gates     map[string]*gate // by consumer; those of one provider share one
}

// NewRunner makes a runner of the steps of these consumers.
func NewRunner(db *choreo.DB, consumers []*choreo.Consumer, o Options) *Runner {
	if o.Lease == 0 {
		o.Lease = 10 * time.Second
	}
	if o.CallTimeout == 0 {
		o.CallTimeout = 2 * time.Minute
	}
	if o.Concurrency == 0 {
		o.Concurrency = 64
	}
	if o.Jitter == nil {
		o.Jitter = mrand.Float64
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r := &Runner{db: db, consumers: consumers, o: o, wake: make(chan struct{}, 1), process: token(), gates: map[string]*gate{}}
	byProvider := map[string]*gate{}
	for _, c := range consumers {
		name, limit := db.Flow().Provider(c)
		if name == "" {
			continue
		}
		if byProvider[name] == nil {
			byProvider[name] = newGate(name, limit, o.Clock)
		}
		r.gates[c.Name] = byProvider[name]
	}
	return r
}

// Wake tells that a step may be due.
func (r *Runner) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// step is a row on its way, with its event read.
type step struct {
	id        int64
	meta      choreo.Meta
	data      []byte
	line      string
	delayed   bool // it has not joined its line yet
	factKey   string
	attempts  int
	begun     time.Time // of the first attempt, zero before it
	called    bool
	stale     bool // it was called so long ago that its key may be forgotten
	effectKey string
	round     int
	lease     string
	changed   time.Time // when the row was last changed
	gate      *gate     // nil where nobody counts its calls

	rule    *choreo.Rule
	event   any
	targets []choreo.Target
}

// RunOne runs one step that is due and whose line has come to it, and returns
// when it has ended or must wait. It does nothing where another runner has it.
func (r *Runner) RunOne(ctx context.Context, id int64) error { return r.runOne(ctx, id, nil) }

func (r *Runner) runOne(ctx context.Context, id int64, g *gate) error {
	s := &step{id: id, gate: g}
	var input any
	outcome := stopped
	err := r.db.InUnit(ctx, func(ctx context.Context, u *choreo.Unit) error {
		o, in, err := r.begin(ctx, u, s)
		outcome, input = o, in
		if s.rule != nil && o == finished {
			u.Of(s.rule.Consumer)
		}
		return err
	})
	if err == nil && outcome == delayed {
		first, err := r.join(ctx, id)
		if err != nil || first == 0 {
			return err
		}
		return r.runOne(ctx, first, g)
	}
	switch {
	case err != nil && s.rule == nil:
		return err // nothing is known of the step: it stays due
	case err != nil:
		s.lease = ""
		return r.failed(ctx, s, err, false)
	case outcome == finished:
		r.Wake()
		return nil
	case outcome != called:
		return nil
	}
	s.called, s.attempts = true, s.attempts+1
	return r.call(ctx, s, input)
}

// remembered is how long a provider is trusted to know an idempotency key: it
// is asked before a call is repeated later than that. Most keep keys for a day.
const remembered = 23 * time.Hour

type beginning int

const (
	stopped  beginning = iota // nothing to do now
	finished                  // the step is done
	called                    // the intent is committed: the call comes next
	delayed                   // it is due, and not in its line yet
)

// begin is the first transaction of a step: a plain reaction runs, an effect
// loads its input and leaves its intent.
func (r *Runner) begin(ctx context.Context, u *choreo.Unit, s *step) (beginning, any, error) {
	found, err := r.take(ctx, u, s)
	if err != nil || !found {
		return stopped, nil, err
	}
	if s.delayed {
		return delayed, nil, nil
	}
	if s.rule.Calls != "" && !s.begun.IsZero() {
		waited, err := down(ctx, u, s.rule.Calls, s.changed)
		if err != nil {
			return stopped, nil, err
		}
		s.begun = s.begun.Add(waited)
	}
	targets, wait, err := Undoes(ctx, u, r.db.Flow(), s.rule, s.meta, s.factKey)
	if err != nil {
		return stopped, nil, err
	}
	if wait {
		_, err := u.SQL().ExecContext(ctx, `update choreo.steps set due_at = $2, updated_at = $3 where id = $1`,
			s.id, u.Clock().Add(waitForCall), u.Clock())
		return stopped, nil, err
	}
	s.targets = targets
	tx := u.For(s.rule, &s.meta, s.round, targets)
	if s.rule.Effect == nil {
		if err := u.Enter(ctx, r.db.Flow().Consumer(s.rule.Consumer)); err != nil {
			return stopped, nil, err
		}
		if err := s.rule.React(ctx, tx, s.event); err != nil {
			return stopped, nil, err
		}
		return finished, nil, r.finish(ctx, u, s, Done, nil)
	}
	crashpoint.At(s.rule.Consumer, crashpoint.BeforeIntent)
	input, err := s.rule.Effect.Load(ctx, tx, s.event)
	if errors.Is(err, choreo.Skip) {
		return finished, nil, r.finish(ctx, u, s, Done, nil)
	}
	if err != nil {
		return stopped, nil, err
	}
	s.lease = token()
	if s.begun.IsZero() {
		s.begun = u.Clock()
	}
	s.stale = s.called && u.Clock().Sub(s.begun) >= remembered
	_, err = u.SQL().ExecContext(ctx, `update choreo.steps set state = 'calling', called = true, attempts = $2,
		begun_at = $3, lease = $4, lease_until = $5, updated_at = $6 where id = $1`,
		s.id, s.attempts+1, s.begun, s.lease, u.Clock().Add(r.o.Lease), u.Clock())
	if safeguard.Off("intent before call") {
		_, _ = s.rule.Effect.Call(ctx, s.effectKey, s.event, input)
	}
	return called, input, err
}

// take locks the step's row if it is due and nobody has it, and reads it.
func (r *Runner) take(ctx context.Context, u *choreo.Unit, s *step) (bool, error) {
	var meta []byte
	var consumer string
	var begun sql.NullTime
	err := u.SQL().QueryRowContext(ctx, `select consumer, meta, data, line, place is null, key, attempts, begun_at, called, effect_key, round, updated_at
		from choreo.steps where id = $1 and (state = 'waiting' and (head or place is null) and due_at <= $2
			or state = 'calling' and lease_until < $2 or $3)
		  and not exists (select from choreo.consumers p where p.consumer = steps.consumer and p.paused_at is not null)
		for update skip locked`, s.id, u.Clock(), safeguard.Off("taken once")).
		Scan(&consumer, &meta, &s.data, &s.line, &s.delayed, &s.factKey, &s.attempts, &begun, &s.called, &s.effectKey, &s.round, &s.changed)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("taking step %d: %w", s.id, err)
	}
	s.begun = begun.Time
	if err := r.read(s, consumer, meta); err != nil { // left for a binary that can
		r.o.Log.Error("a step cannot be read", "step", s.id, "error", err)
		_, err := u.SQL().ExecContext(ctx, `update choreo.steps set due_at = $2, error = $3 where id = $1`,
			s.id, u.Clock().Add(time.Minute), short(err))
		return false, err
	}
	return true, nil
}

// read finds the rule of a step, and reads its event.
func (r *Runner) read(s *step, consumer string, meta []byte) error {
	if err := json.Unmarshal(meta, &s.meta); err != nil {
		return fmt.Errorf("reading the attributes of the event: %w", err)
	}
	var rule *choreo.Rule
	if c := r.db.Flow().Consumer(consumer); c != nil {
		rule = c.Rule(s.meta.Type)
	}
	if rule == nil {
		return fmt.Errorf("%s does not react to %s in this binary", consumer, s.meta.Type)
	}
	event, err := rule.Decode(s.meta, s.data)
	if err != nil {
		return err
	}
	s.rule, s.event = rule, event
	return nil
}

// call makes the call and records what came of it.
func (r *Runner) call(ctx context.Context, s *step, input any) error {
	crashpoint.At(s.rule.Consumer, crashpoint.AfterIntent)
	callCtx, cancel := context.WithTimeout(ctx, r.o.CallTimeout)
	defer cancel()
	if !r.o.Unrenewed {
		go r.renew(callCtx, s)
	}
	if ask := s.rule.Effect.Ask; s.stale && ask != nil && !safeguard.Off("ask before repeat") {
		switch result, happened, err := ask(callCtx, s.effectKey, s.event); {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return r.failed(ctx, s, fmt.Errorf("asking before the call is repeated: %w", err), true)
		case happened:
			return r.record(ctx, s, result)
		}
	}
	key := s.effectKey
	if safeguard.Off("idempotency key") {
		key = fmt.Sprint(key, " ", s.attempts)
	}
	result, err := s.rule.Effect.Call(callCtx, key, s.event, input)
	crashpoint.At(s.rule.Consumer, crashpoint.AfterCall)
	r.tell(ctx, s.gate, s, err)
	if err != nil {
		if ctx.Err() != nil {
			return r.leave(ctx, s)
		}
		return r.failed(ctx, s, err, true)
	}
	return r.record(ctx, s, result)
}

// record ends a step whose call succeeded. It does nothing where the lease was
// lost: the step's outcome is then another runner's.
func (r *Runner) record(ctx context.Context, s *step, result any) error {
	body, err := json.Marshal(result)
	if err != nil {
		return r.failed(ctx, s, fmt.Errorf("writing the result: %w", err), true)
	}
	err = r.db.InUnit(ctx, func(ctx context.Context, u *choreo.Unit) error {
		ours, err := r.holds(ctx, u, s)
		if err != nil || !ours {
			return err
		}
		tx := u.For(s.rule, &s.meta, s.round, s.targets)
		if err := s.rule.Effect.Record(ctx, tx, s.event, result); err != nil {
			return fmt.Errorf("recording the result: %w", err)
		}
		u.Of(s.rule.Consumer)
		return r.finish(ctx, u, s, Done, body)
	})
	if err != nil {
		return r.failed(ctx, s, err, true)
	}
	r.Wake()
	return nil
}

// holds locks the row if this runner's lease is still the one in it.
func (r *Runner) holds(ctx context.Context, u *choreo.Unit, s *step) (bool, error) {
	var id int64
	err := u.SQL().QueryRowContext(ctx, `select id from choreo.steps
		where id = $1 and (state = 'calling' and (lease = $2 or $3) or $4) for update`,
		s.id, s.lease, safeguard.Off("fence"), safeguard.Off("one outcome")).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// finish gives the step its outcome and wakes the next of its line. What the
// step undid is undone with it.
func (r *Runner) finish(ctx context.Context, u *choreo.Unit, s *step, state string, result []byte) error {
	if err := u.Err(); err != nil {
		return err
	}
	if state == Done {
		if err := SetUndone(ctx, u, s.targets, s.meta.Saga, s.factKey); err != nil {
			return err
		}
	}
	_, err := u.SQL().ExecContext(ctx, `update choreo.steps set state = $2, head = false, lease = '', lease_until = null,
		begun_at = coalesce(begun_at, $4), result = $3::jsonb, error = '', updated_at = $4 where id = $1`,
		s.id, state, sql.NullString{String: string(result), Valid: result != nil}, u.Clock())
	if err != nil {
		return fmt.Errorf("ending step %d: %w", s.id, err)
	}
	return promote(ctx, u, s.rule.Consumer, s.line)
}

// backoff is how long to wait after the given attempt, counted from 1: the
// policy's exponential, with a fifth of jitter either way.
func backoff(p choreo.RetryPolicy, attempt int, jitter float64) time.Duration {
	d := float64(p.Base) * math.Pow(p.Factor, float64(attempt-1))
	return time.Duration(min(d, float64(p.Most)) * (0.8 + 0.4*jitter))
}
