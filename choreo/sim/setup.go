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

// setUp opens the database, and makes a broker, two relays, two runners of steps
// and a group for each consumer.
func (s *Sim) setUp(ctx context.Context) error {
	flow, err := s.play.Flow(s)
	if err != nil {
		return err
	}
	s.watch(flow)
	if err := s.monitor.exec(`update choreo.source set database_id = 'simulated', epoch = 1`); err != nil {
		return err
	}
	s.strayed = map[string]bool{}
	s.kafka = &kafka{sim: s, topics: map[string]*topic{}, highest: map[spot]int64{}}
	for _, name := range flow.Topics() {
		n := 1 + s.rand.IntN(3)
		s.kafka.create(name, n)
		if err := s.monitor.exec(fmt.Sprintf(`insert into choreo.topics (topic, partitions) values ('%s', %d)`, name, n)); err != nil {
			return err
		}
	}
	if s.DB, err = choreo.Open(ctx, s.pool, flow, choreo.Options{Random: randomness{s}}); err != nil {
		return err
	}
	quiet := slog.New(slog.DiscardHandler)
	for i := range s.relays {
		s.relays[i] = &relayer{relay: relay.New(s.DB, s.kafka, s.kafka, quiet)}
		s.runners[i] = steps.NewRunner(s.DB, flow.Consumers(), steps.Options{Jitter: s.rand.Float64, Unrenewed: true,
			CallTimeout: time.Hour, Lease: leaseOfCall})
	}
	for _, c := range flow.Consumers() {
		switch {
		case len(c.Topics()) == 0:
		case c.Local():
			s.feeders = append(s.feeders, &feeder{name: c.Name,
				feed: consume.NewFeeder(&consume.Applier{DB: s.DB, Consumer: c}, quiet)})
		default:
			s.addGroups(c)
		}
	}
	for n := range s.o.Sagas {
		// They start over a while that grows with their number.
		at := s.now.Add(time.Duration(s.rand.IntN(1+20*s.o.Sagas)) * time.Millisecond)
		s.sagas = append(s.sagas, &script{n: n, acts: s.play.Saga(s, n), at: at})
	}
	return nil
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
