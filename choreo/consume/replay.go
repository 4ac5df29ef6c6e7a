package consume

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lib/pq"

	"troupe/choreo"
	"troupe/choreo/steps"
)

// Replay does again what a consumer did about events that it has taken long ago:
// after a bug in it is mended, or rows of it are lost. It reads the log, moves no
// watermark and no offset, and redoes state alone: an effect is not called, what
// is undone or unfinished is left as it is, and a fact whose id the log has is
// not emitted again.
type Replay struct {
	DB       *choreo.DB
	Consumer *choreo.Consumer
	From     time.Time // of events emitted since then; zero: all
	Key      string    // of one key; empty: all
	Dry      bool      // only count
}

// Replayed is what became of the events of a replay.
type Replayed struct {
	Redone     int      `json:"redone" doc:"Reactions that ran again, or would."`
	Effects    int      `json:"effectsSkipped" doc:"Effects that were not called."`
	Steps      []int64  `json:"effectSteps,omitempty" doc:"Their steps."`
	Undone     int      `json:"undone" doc:"Left alone: undone, or dropped by an operator."`
	Unfinished int      `json:"unfinished" doc:"Left alone: their step has not ended, or they were not taken yet."`
	Failed     int      `json:"failed" doc:"Reactions that failed; nothing came of them."`
	Errors     []string `json:"errors,omitempty" doc:"The first of their errors."`
	NewFacts   int      `json:"newFacts" doc:"Facts emitted that the log did not have."`
}

// Add adds the counts of another batch.
func (r *Replayed) Add(o Replayed) {
	r.Redone += o.Redone
	r.Effects += o.Effects
	r.Undone += o.Undone
	r.Unfinished += o.Unfinished
	r.Failed += o.Failed
	r.NewFacts += o.NewFacts
	r.Steps = append(r.Steps, o.Steps...)
	r.Errors = append(r.Errors, o.Errors[:min(len(o.Errors), 5-min(len(r.Errors), 5))]...)
}

// Why a consumer cannot be replayed.
var (
	ErrReplayView   = errors.New("it is a view: `troupe views rebuild` fills it anew beside the live one")
	ErrReplayDomain = errors.New("it reacts to domain facts only, which are stored nowhere")
)

// replayWindow is how many facts of the log one batch looks at, and
// replayBatch how many events it takes.
const (
	replayWindow = 20_000
	replayBatch  = 500
)

// Batch replays the events of the next positions after the given one, in one
// transaction, and tells up to which it has come; more tells that the log goes on.
func (r *Replay) Batch(ctx context.Context, after int64) (done Replayed, position int64, more bool, err error) {
	if r.Consumer.View() {
		return done, after, false, ErrReplayView
	}
	if len(r.Consumer.Topics()) == 0 {
		return done, after, false, ErrReplayDomain
	}
	events, position, more, err := r.read(ctx, after)
	if err != nil || len(events) == 0 {
		return done, position, more, err
	}
	var unit *choreo.Unit
	err = r.DB.Home(r.Consumer).InUnit(ctx, func(ctx context.Context, u *choreo.Unit) error {
		unit, done = u, Replayed{}
		u.LeaveOutEmitted()
		return r.run(ctx, u, events, &done)
	})
	if err != nil {
		return done, after, false, fmt.Errorf("replaying %s after position %d: %w", r.Consumer.Name, after, err)
	}
	done.NewFacts = unit.Emitted()
	return done, position, more, nil
}

// past is an event of the log with what the consumer made of it.
type past struct {
	arrival
	taken bool
	step  int64 // 0 where it has none
	state string
	round int
}

// read reads the next events of the consumer.
func (r *Replay) read(ctx context.Context, after int64) (events []*past, position int64, more bool, err error) {
	head, err := r.DB.LogHead(ctx)
	if err != nil {
		return nil, after, false, err
	}
	var types []string
	for _, rule := range r.Consumer.Rules() {
		types = append(types, rule.On)
	}
	to, err := r.DB.LogWindow(ctx, after, head, replayWindow)
	if err != nil {
		return nil, after, false, err
	}
	rows, err := r.DB.Log().QueryContext(ctx, `
		select `+logged+`, l.position, coalesce(s.source, l.source), coalesce(s.topic, ''), coalesce(s.partition, 0), coalesce(l.sequence, 0)
		from choreo.event_log l left join choreo.streams s on s.id = l.stream
		where l.position > $1 and l.position <= $2 and l.type = any ($3) and l.at >= $4 and ($5 = '' or l.key = $5)
		order by l.position limit $6`, after, to, pq.Array(types), r.From, r.Key, replayBatch)
	if err != nil {
		return nil, after, false, fmt.Errorf("reading the log after %d: %w", after, err)
	}
	defer rows.Close()
	position = to
	for rows.Next() {
		v := &past{arrival: arrival{own: true}}
		if err := v.scan(rows, &position, &v.place.source, &v.place.topic, &v.place.partition, &v.meta.Sequence); err != nil {
			return nil, after, false, err
		}
		v.meta.Source = v.place.source
		v.rule = r.Consumer.Rule(v.meta.Type)
		events = append(events, v)
	}
	if len(events) < replayBatch {
		position = to
	}
	return events, position, head > position, rows.Err()
}

// run replays events in one transaction. Their watermarks are locked, so that
// batches of the consumer pass before or after it.
func (r *Replay) run(ctx context.Context, u *choreo.Unit, events []*past, done *Replayed) error {
	if err := r.findTaken(ctx, u, events); err != nil {
		return err
	}
	var todo []*past
	for _, v := range events {
		switch {
		case !v.taken || slices.Contains([]string{steps.Waiting, steps.Calling, steps.Parked, steps.Unknown}, v.state):
			done.Unfinished++
		case v.state == steps.Undone || v.state == steps.Dropped:
			done.Undone++
		case v.rule.Effect != nil:
			done.Effects++
			if v.step != 0 {
				done.Steps = append(done.Steps, v.step)
			}
		default:
			todo = append(todo, v)
		}
	}
	if r.Dry {
		done.Redone = len(todo)
		return nil
	}
	for _, v := range todo {
		if v.open(); v.bad != nil {
			done.fail(v, v.bad)
		}
	}
	todo = slices.DeleteFunc(todo, func(v *past) bool { return v.bad != nil })
	if err := r.lock(ctx, u, todo); err != nil {
		return err
	}
	for _, v := range todo {
		err := u.Savepoint(ctx, func() error { return r.again(ctx, u, v) })
		switch {
		case err == nil:
			done.Redone++
		case choreo.IsInfrastructure(err) || choreo.IsBroken(err):
			return err
		default:
			done.fail(v, err)
		}
	}
	return nil
}

func (r *Replayed) fail(v *past, err error) {
	if r.Failed++; len(r.Errors) < 5 {
		r.Errors = append(r.Errors, fmt.Sprintf("%s %s: %v", v.meta.Type, v.meta.ID, err))
	}
}

// again runs the reaction to one event, in the round that its step had.
func (r *Replay) again(ctx context.Context, u *choreo.Unit, v *past) error {
	targets, wait, err := steps.Undoes(ctx, u, r.DB.Flow(), v.rule, v.meta, v.factKey)
	if err != nil {
		return err
	}
	if wait {
		return errors.New("what it undoes is calling: replay it when that has ended")
	}
	if err := v.rule.React(ctx, u.For(v.rule, &v.meta, v.round, targets), v.event); err != nil {
		return err
	}
	if err := u.Err(); err != nil {
		return err
	}
	return steps.SetUndone(ctx, u, targets, v.meta.Saga, v.factKey)
}

// lock takes the locks that a batch takes for these events.
func (r *Replay) lock(ctx context.Context, u *choreo.Unit, todo []*past) error {
	var barriers, lines []string
	for _, v := range todo {
		if len(r.DB.Flow().UndoneBy(r.Consumer.Name)) > 0 {
			barriers = append(barriers, steps.Barrier(v.meta.Saga, r.Consumer.Name, v.factKey))
		}
		for _, target := range v.rule.Undoes {
			barriers = append(barriers, steps.Barrier(v.meta.Saga, target, v.factKey))
		}
		lines = append(lines, steps.LineLock(r.Consumer.Name, v.line))
	}
	if err := steps.Lock(ctx, u, barriers); err != nil {
		return err
	}
	if len(r.Consumer.Topics()) < 2 {
		return nil
	}
	return steps.Lock(ctx, u, lines)
}

// findTaken finds which events the consumer has taken, and their steps.
func (r *Replay) findTaken(ctx context.Context, u *choreo.Unit, events []*past) error {
	rows, err := u.SQL().QueryContext(ctx, `select source, topic, partition, sequence from choreo.watermarks
		where consumer = $1 order by source, topic, partition for update`, r.Consumer.Name)
	if err != nil {
		return fmt.Errorf("locking the watermarks of %s: %w", r.Consumer.Name, err)
	}
	defer rows.Close()
	marks := map[place]int64{}
	for rows.Next() {
		var p place
		var at int64
		if err := rows.Scan(&p.source, &p.topic, &p.partition, &at); err != nil {
			return err
		}
		marks[p] = at
	}
	if err := rows.Err(); err != nil {
		return err
	}
	byID := map[[2]string]*past{}
	var ids []string
	for _, v := range events {
		v.taken = v.meta.Sequence > 0 && marks[v.place] >= v.meta.Sequence || slices.Contains(v.meta.RanIn, r.Consumer.Name)
		byID[[2]string{v.meta.Source, v.meta.ID}] = v
		ids = append(ids, v.meta.ID)
	}
	if err := r.findMet(ctx, u, byID); err != nil {
		return err
	}
	found, err := u.SQL().QueryContext(ctx, `select id, source, event_id, state, round from choreo.steps
		where consumer = $1 and event_id = any ($2)`, r.Consumer.Name, pq.Array(ids))
	if err != nil {
		return fmt.Errorf("reading the steps of %s: %w", r.Consumer.Name, err)
	}
	defer found.Close()
	for found.Next() {
		var s past
		var source, event string
		if err := found.Scan(&s.step, &source, &event, &s.state, &s.round); err != nil {
			return err
		}
		if v := byID[[2]string{source, event}]; v != nil {
			v.step, v.state, v.round = s.step, s.state, s.round
		}
	}
	return found.Err()
}

// findMet finds which foreign events the consumer has taken: those in its inbox,
// and those that are too old to be there still.
func (r *Replay) findMet(ctx context.Context, u *choreo.Unit, byID map[[2]string]*past) error {
	var sources, ids []string
	for at, v := range byID {
		if v.meta.Sequence == 0 {
			sources, ids = append(sources, at[0]), append(ids, at[1])
			v.taken = v.taken || u.Clock().Sub(v.meta.Time) > inboxFor
		}
	}
	if len(ids) == 0 {
		return nil
	}
	rows, err := u.SQL().QueryContext(ctx, `select i.source, i.event_id from unnest($2::text[], $3::text[]) e (source, id)
		join choreo.inbox i on i.consumer = $1 and i.source = e.source and i.event_id = e.id`, r.Consumer.Name, pq.Array(sources), pq.Array(ids))
	if err != nil {
		return fmt.Errorf("reading the inbox of %s: %w", r.Consumer.Name, err)
	}
	defer rows.Close()
	for rows.Next() {
		var at [2]string
		if err := rows.Scan(&at[0], &at[1]); err != nil {
			return err
		}
		byID[at].taken = true
	}
	return rows.Err()
}
