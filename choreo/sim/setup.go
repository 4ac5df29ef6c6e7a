package sim

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"troupe/choreo"
	"troupe/choreo/consume"
	"troupe/choreo/relay"
	"troupe/choreo/steps"
)

// setUp makes a broker, a group for each consumer and the scripts of the sagas,
// and starts the engine.
func (s *Sim) setUp(ctx context.Context) (err error) {
	if s.flow, err = s.play.Flow(s); err != nil {
		return err
	}
	s.watch(s.flow)
	if err := s.monitor.exec(`update choreo.source set database_id = 'simulated', epoch = 1`); err != nil {
		return err
	}
	s.strayed = map[string]bool{}
	s.kafka = &kafka{sim: s, topics: map[string]*topic{}, offered: map[stream]int64{}}
	for _, name := range s.flow.Topics() {
		n := 1 + s.rand.IntN(3)
		s.kafka.create(name, n)
		if err := s.monitor.exec(fmt.Sprintf(`insert into choreo.topics (topic, partitions) values ('%s', %d)`, name, n)); err != nil {
			return err
		}
	}
	for _, c := range s.flow.Consumers() {
		switch {
		case len(c.Topics()) == 0:
		case c.Local():
			s.feeders = append(s.feeders, &feeder{name: c.Name})
		default:
			s.addGroups(c)
		}
	}
	for n := range s.o.Sagas {
		// They start over a while that grows with their number.
		at := s.now.Add(time.Duration(s.rand.IntN(1+20*s.o.Sagas)) * time.Millisecond)
		s.sagas = append(s.sagas, &script{n: n, acts: s.play.Saga(s, n), at: at})
	}
	s.foresee()
	return s.startEngine(ctx)
}

var quiet = slog.New(slog.DiscardHandler)

// startEngine opens the database, and makes two relays, two runners of steps and
// what each consumer keeps in memory, as processes do that have just started.
func (s *Sim) startEngine(ctx context.Context) (err error) {
	if s.DB, err = choreo.Open(ctx, s.pool, s.flow, choreo.Options{Random: randomness{s}, Unhinted: true}); err != nil {
		return err
	}
	for i := range s.relays {
		s.relays[i] = &relayer{relay: s.newRelay(), dirty: true}
		s.runners[i] = steps.NewRunner(s.DB, s.flow.Consumers(), steps.Options{Jitter: s.rand.Float64, Unrenewed: true,
			CallTimeout: time.Hour, Lease: leaseOfCall})
	}
	for _, f := range s.feeders {
		f.feed, f.dirty = consume.NewFeeder(s.newApplier(f.name), quiet), true
	}
	for _, g := range s.groups {
		g.applier, g.stuck = s.newApplier(g.consumer), false
		g.rewind()
	}
	s.due, s.lists.dirty, s.search = nil, true, true
	s.stepsStale.Store(true)
	return nil
}

func (s *Sim) newRelay() *relay.Relay { return relay.New(s.DB, s.kafka, s.kafka, quiet) }

func (s *Sim) newApplier(consumer string) *consume.Applier {
	return &consume.Applier{DB: s.DB, Consumer: s.flow.Consumer(consumer)}
}

// addGroups adds the group of a consumer; one that takes its partitions side by
// side has several parts.
func (s *Sim) addGroups(c *choreo.Consumer) {
	var spots []spot
	for _, name := range c.Topics() {
		for i := range s.kafka.topics[name].partitions {
			spots = append(spots, spot{name, i})
		}
	}
	for i := range spots {
		part := spots
		if c.Parallel() {
			part = spots[i : i+1]
		}
		s.groups = append(s.groups, &group{consumer: c.Name, spots: part, fetched: map[spot]int64{},
			committed: map[spot]int64{}, looked: map[spot]lookedAt{}})
		if !c.Parallel() {
			return
		}
	}
}

// lookForSteps reads which steps are due, and when the others are.
func (s *Sim) lookForSteps() {
	t, err := s.monitor.query(`select id, consumer, case state when 'waiting' then due_at when 'calling' then lease_until else watch_at end,
			watch_at is not null
		from choreo.steps where (head or place is null) and state = 'waiting' or state = 'calling' or watch_at is not null order by id`, nil)
	if err != nil {
		s.broken(err)
		return
	}
	trying := map[int64]int{}
	for _, d := range s.due {
		trying[d.id] = d.trying
	}
	s.due = s.due[:0]
	for _, row := range t.values {
		id, _ := row[0].(int64)
		at, _ := row[2].(time.Time)
		consumer := fmt.Sprint(row[1])
		if b, ok := row[1].([]byte); ok {
			consumer = string(b)
		}
		s.due = append(s.due, dueStep{id, consumer, at, trying[id], row[3] == true})
	}
}

// randomness gives ids their bytes.
type randomness struct{ s *Sim }

func (r randomness) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(r.s.rand.Uint32())
	}
	return len(b), nil
}

// endAll lets those die that are still under way.
func (s *Sim) endAll() {
	s.current = nil
	for range 1000 {
		var p *process
		for _, q := range s.live {
			if q.state == parked {
				p = q
			}
		}
		if p == nil {
			return
		}
		p.dead = true
		s.turn(p, crash)
	}
}
