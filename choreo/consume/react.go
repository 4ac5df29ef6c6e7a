package consume

import (
	"context"
	"fmt"

	"troupe/choreo"
	"troupe/choreo/steps"
)

// react runs the reactions in order, or puts them into steps: effects, delayed
// ones, and whatever comes behind an unfinished step of its line.
func (t *transaction) react(ctx context.Context, u *choreo.Unit, todo []*arrival) error {
	busy, err := t.busyLines(ctx, u, todo)
	if err != nil {
		return err
	}
	var run []*arrival // a run of events for one batch reaction
	flush := func() error {
		if len(run) == 0 {
			return nil
		}
		err := t.runBatch(ctx, u, run)
		run = nil
		return err
	}
	for _, v := range todo {
		if v.outcome == Undone {
			continue
		}
		if v.rule.Effect != nil || v.rule.After > 0 || busy[v.line] {
			t.enqueue(v, steps.Waiting)
			continue
		}
		if len(run) > 0 && (v.rule != run[0].rule || v.rule.ReactBatch == nil || t.oneByOne) {
			if err := flush(); err != nil {
				return err
			}
		}
		if v.rule.ReactBatch != nil {
			run = append(run, v)
			continue
		}
		if err := t.runOne(ctx, u, v, busy); err != nil {
			return err
		}
	}
	return flush()
}

// runOne runs a plain reaction. In the second try a failure is set aside: its
// neighbours go on, its line waits.
func (t *transaction) runOne(ctx context.Context, u *choreo.Unit, v *arrival, busy map[string]bool) error {
	if !t.oneByOne {
		return t.reactTo(ctx, u, v, busy)
	}
	err := u.Savepoint(ctx, func() error { return t.reactTo(ctx, u, v, busy) })
	return t.setAside(v, err, busy)
}

// runBatch runs a batch reaction over a run of events of one rule.
func (t *transaction) runBatch(ctx context.Context, u *choreo.Unit, run []*arrival) error {
	rule := run[0].rule
	events := make([]any, len(run))
	for i, v := range run {
		events[i], v.outcome = v.event, Applied
	}
	react := func() error {
		if err := rule.ReactBatch(ctx, u.For(rule, nil, 0, nil), events); err != nil {
			return err
		}
		return u.Err()
	}
	if !t.oneByOne {
		return react()
	}
	return t.setAside(run[0], u.Savepoint(ctx, react), nil)
}

// setAside puts an event whose reaction failed into steps, to be tried again
// there.
func (t *transaction) setAside(v *arrival, err error, busy map[string]bool) error {
	if err == nil || choreo.IsInfrastructure(err) || choreo.IsBroken(err) {
		if err == nil {
			t.culprits.Store(nil)
		}
		return err
	}
	if state := choreo.SQLState(err); state != "" {
		c := &culprits{state, 1}
		if last := t.culprits.Load(); last != nil && last.state == state {
			c.n += last.n
		}
		t.culprits.Store(c)
		if c.n >= brokenAfter {
			return fmt.Errorf("%w: %d events in a row failed with SQLSTATE %s: %w", choreo.ErrBroken, c.n, state, err)
		}
	}
	t.enqueue(v, steps.Waiting)
	last := &t.put[len(t.put)-1]
	last.Delay, last.Attempts, last.Error = v.rule.Retry.Base, 1, err.Error()
	if busy != nil {
		busy[v.line] = true
	}
	return nil
}

func (t *transaction) reactTo(ctx context.Context, u *choreo.Unit, v *arrival, busy map[string]bool) error {
	targets, wait, err := steps.Undoes(ctx, u, t.DB.Flow(), v.rule, v.meta, v.factKey)
	if err != nil {
		return err
	}
	if wait {
		t.enqueue(v, steps.Waiting)
		busy[v.line] = true
		return nil
	}
	if err := v.rule.React(ctx, u.For(v.rule, &v.meta, 0, targets), v.event); err != nil {
		return fmt.Errorf("on %s %s: %w", v.meta.Type, v.meta.ID, err)
	}
	if err := u.Err(); err != nil {
		return err
	}
	if err := steps.SetUndone(ctx, u, targets, v.meta.Saga, v.factKey); err != nil {
		return err
	}
	if v.rule.Recorded {
		t.enqueue(v, steps.Done)
	}
	v.outcome = Applied
	return nil
}

func (t *transaction) enqueue(v *arrival, state string) {
	v.outcome = Enqueued
	t.put = append(t.put, steps.New{Consumer: t.Consumer.Name, Meta: v.meta, Data: v.data, FactKey: v.factKey,
		Line: v.line, State: state, After: v.rule.After})
}

// busyLines finds the lines of plain reactions that have an unfinished step. A
// consumer without any, as most are most of the time, costs one look.
func (t *transaction) busyLines(ctx context.Context, u *choreo.Unit, todo []*arrival) (map[string]bool, error) {
	if !t.busy {
		return map[string]bool{}, nil
	}
	var lines []string
	for _, v := range todo {
		if v.rule.Effect == nil && v.rule.After == 0 {
			lines = append(lines, v.line)
		}
	}
	return steps.BusyLines(ctx, u, t.Consumer.Name, lines)
}
