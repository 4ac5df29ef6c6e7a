package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"troupe/choreo"
	"troupe/choreo/broker"
	"troupe/choreo/consume"
	"troupe/choreo/relay"
	"troupe/choreo/saga"
	"troupe/choreo/wire"
)

// start1 starts one of the things that could be done now, if there is any.
func (s *Sim) start1() *process {
	var can []func() *process
	for _, sc := range s.sagas {
		if len(sc.acts) > 0 && !sc.busy && !sc.at.After(s.now) {
			can = append(can, func() *process { return s.act(sc) })
			break
		}
	}
	for i, r := range s.relays {
		if r.dirty && r.busy == nil && !r.at.After(s.now) {
			can = append(can, func() *process { return s.relayOnce(i) }, func() *process { return s.relayOnce(i) })
		}
	}
	for _, r := range s.relays {
		if s.search && r.first && r.busy == nil {
			can = append(can, func() *process { return s.collectOnce(r) })
		}
	}
	for _, g := range s.groups {
		if g.busy == nil && s.anyNews(g) {
			can = append(can, func() *process { return s.deliver(g) })
		}
	}
	for _, f := range s.feeders {
		if f.dirty && f.busy < 2 {
			can = append(can, func() *process { return s.feed(f) })
		}
	}
	for i := range s.due {
		if d := &s.due[i]; !d.at.After(s.now) && (d.trying == 0 || d.trying == 1 && !s.draining && s.chance(0.05)) {
			can = append(can, func() *process { return s.perform(d) })
		}
	}
	if l := &s.lists; l.dirty && l.busy == nil && !l.at.After(s.now) {
		can = append(can, s.list)
	}
	if len(can) == 0 {
		return nil
	}
	return can[s.rand.IntN(len(can))]()
}

// act gives the next command of a saga.
func (s *Sim) act(sc *script) *process {
	a := sc.acts[0]
	sc.busy = true
	saga := ""
	p := s.spawn(a.Name, func(ctx context.Context) error {
		r, err := a.Do(ctx, s.DB)
		saga = r.Saga
		return err
	}, func(err error) {
		sc.busy, sc.acts = false, sc.acts[1:]
		switch {
		case err == nil:
			s.counts["commands accepted"]++
			s.trace(saga, "saga %d: %s accepted in %s", sc.n, a.Name, saga)
		case errors.Is(err, errDied) || choreo.IsInfrastructure(err):
			s.counts["commands without an answer"]++
		default:
			s.counts["commands refused"]++
		}
		if len(sc.acts) > 0 {
			sc.at = s.now.Add(sc.acts[0].After)
		}
	})
	s.counts["commands"]++
	return p
}

// relayOnce is one turn of a relay: it sequences, and forwards.
func (s *Sim) relayOnce(i int) *process {
	r := s.relays[i]
	r.dirty = false
	r.busy = s.spawn(fmt.Sprintf("relay %d", i+1), func(ctx context.Context) error {
		n, err := r.relay.Sequence(ctx)
		if err != nil {
			return err
		}
		m, err := r.relay.Forward(ctx)
		if err == nil && n+m > 0 {
			r.dirty = true
		}
		return err
	}, func(err error) {
		r.busy, r.first = nil, err == nil
		switch {
		case errors.Is(err, errDied):
			r.relay, r.dirty = s.newRelay(), true
		case errors.Is(err, relay.ErrRewound):
			s.refused = err
		case errors.Is(err, relay.ErrStandby):
			r.dirty, r.at = true, s.now.Add(time.Duration(100+s.rand.IntN(500))*time.Millisecond)
			s.counts["relay stands by"]++
		case err != nil:
			r.dirty = true
		case s.setBack: // Kafka has nothing of what was lost
			s.setBack, s.backup = false, nil
		}
		for _, f := range s.feeders {
			f.dirty = true
		}
	})
	return r.busy
}

// collectOnce has the active relay search the topics for what others have put
// there.
func (s *Sim) collectOnce(r *relayer) *process {
	s.search = false
	r.busy = s.spawn("collector", func(ctx context.Context) error {
		n, err := r.relay.Collect(ctx)
		s.counts["foreign events collected"] += n
		return err
	}, func(err error) {
		r.busy = nil
		if err != nil {
			s.search, r.first, r.dirty = true, false, true
		}
		if errors.Is(err, errDied) {
			r.relay = s.newRelay()
		}
		for _, f := range s.feeders {
			f.dirty = true
		}
	})
	return r.busy
}

func (s *Sim) anyNews(g *group) bool {
	return !g.stuck && slices.ContainsFunc(g.spots, func(at spot) bool { return s.news(g, at) })
}

// deliver hands a consumer a batch of what there is on its partitions.
func (s *Sim) deliver(g *group) *process {
	b := &broker.Batch{}
	took := map[spot]int64{}
	most := 1 + s.rand.IntN(20)
	for _, at := range g.spots {
		if !s.news(g, at) || len(g.spots) > 1 && s.chance(0.3) && !s.draining {
			continue
		}
		records, end := s.fetch(g, at, most-len(b.Records))
		b.Records = append(b.Records, records...)
		took[at] = g.fetched[at]
		if end {
			b.Tails = append(b.Tails, broker.Tail{Topic: at.topic, Partition: int32(at.partition)})
		}
		if len(b.Records) == most {
			break
		}
	}
	a := g.applier
	var counts consume.Counts
	var p *process
	p = s.spawn(g.consumer, func(ctx context.Context) (err error) {
		counts, err = a.Batch(ctx, b)
		return err
	}, func(err error) {
		for outcome, n := range counts {
			s.counts["records "+string(outcome)] += n
		}
		if errors.Is(err, errDied) && g.applier == a {
			g.applier = s.newApplier(g.consumer)
		}
		if g.busy != p {
			s.counts["zombie batches"]++
			return // fenced: a rebalance gave its partitions to another
		}
		g.busy = nil
		if err != nil {
			g.stuck = choreo.IsBroken(err) || errors.Is(err, consume.ErrGap)
			g.rewind()
			return
		}
		maps.Copy(g.committed, took)
	})
	p.what = fmt.Sprintf("takes %d records, %d ends", len(b.Records), len(b.Tails))
	g.busy = p
	return p
}

// rewind starts again from what was committed.
func (g *group) rewind() {
	for at := range g.fetched {
		g.fetched[at] = g.committed[at]
		delete(g.looked, at)
	}
}

func (s *Sim) feed(f *feeder) *process {
	f.dirty = false
	f.busy++
	feed := f.feed
	return s.spawn(f.name, func(ctx context.Context) error {
		n, err := feed.Feed(ctx)
		f.dirty = f.dirty || n > 0
		return err
	}, func(err error) {
		f.busy--
		f.dirty = f.dirty || err != nil
		if errors.Is(err, errDied) {
			f.feed = consume.NewFeeder(s.newApplier(f.name), quiet)
		}
	})
}

// list is one turn of the cursor that keeps the lists of sagas; it comes again
// some time after whatever may change them.
func (s *Sim) list() *process {
	l := &s.lists
	l.dirty = false
	l.busy = s.spawn("lists", func(ctx context.Context) error {
		n, err := saga.Advance(ctx, s.DB)
		l.dirty = l.dirty || n > 0
		return err
	}, func(err error) {
		l.busy = nil
		l.dirty, l.at = l.dirty || err != nil, s.now.Add(time.Duration(50+s.rand.IntN(2000))*time.Millisecond)
	})
	return l.busy
}

// perform runs a step that is due.
func (s *Sim) perform(d *dueStep) *process {
	d.trying++
	id, r := d.id, s.runners[s.rand.IntN(len(s.runners))]
	name, run := "step of "+d.consumer, r.RunOne
	if d.watched {
		name, run = "watch of "+d.consumer, r.WatchOne
		s.counts["watched"]++
	}
	p := s.spawn(name, func(ctx context.Context) error { return run(ctx, id) }, func(error) {
		s.stepsStale.Store(true)
		for i := range s.due {
			if s.due[i].id == id {
				s.due[i].trying = max(0, s.due[i].trying-1) // it may have waited in its line meanwhile
			}
		}
	})
	s.counts["steps run"]++
	return p
}

// stray puts a record on a topic that is none of our facts: a foreign one, a
// forged one that bears our source, or no event at all.
func (s *Sim) stray() {
	if s.play.Stray == nil {
		return
	}
	fact := s.play.Stray(s)
	s.strays++
	name := choreo.Topic(fact.FactType())
	t := s.kafka.topics[name]
	n := int32(s.rand.IntN(len(t.partitions)))
	m := choreo.Meta{ID: fmt.Sprintf("stray-%d", s.strays), Source: "/elsewhere", Type: fact.FactType(), Key: fact.Key(),
		Time: s.now, Saga: fmt.Sprintf("stray-%d", s.strays), Emitter: "somebody"}
	what := "foreign"
	if s.chance(0.5) {
		what = "forged"
		// A place that another event has, the next, or one far beyond the log's
		// head.
		m.Source, m.Sequence = s.DB.Source(), 1+s.rand.Int64N(1+s.published(name, n))
		switch s.rand.IntN(3) {
		case 0:
			m.Sequence = s.published(name, n) + 1
		case 1:
			m.Sequence += 1_000_000
		}
	}
	r := wire.Encode(m, mustJSON(fact), n)
	if s.chance(0.1) {
		what, r.Value = "malformed", []byte("{")
	}
	times := 1
	if s.chance(0.5) {
		times = 2
	}
	for range times {
		s.kafka.append(name, r)
	}
	s.search = true
	if what != "malformed" {
		s.strayed[m.ID] = true
		if what == "forged" {
			s.forged = append(s.forged, m.ID)
		}
	}
	s.counts["strays"]++
	s.trace("", "%s record %s on %s/%d, sequence %d, %d times", what, m.ID, name, n, m.Sequence, times)
}

// published is the highest sequence that the relay has put on a partition.
func (s *Sim) published(name string, n int32) int64 {
	return s.kafka.offered[stream{s.DB.Source(), spot{name, int(n)}}]
}

// misfortune is what happens to nobody in particular.
func (s *Sim) misfortune() {
	if s.draining || !s.o.Faults || s.current != nil {
		return
	}
	switch x := s.rand.Float64() * 10000 / s.fury; {
	case x < 8: // a rebalance: who had the batch is a zombie from now on
		g := s.groups[s.rand.IntN(len(s.groups))]
		if g.busy != nil {
			s.trace("", "rebalance of %s: %s#%d is a zombie", g.consumer, g.busy.name, g.busy.id)
			g.busy.wakes = s.tick + s.rand.IntN(400)
			g.busy = nil
		}
		if s.chance(0.5) { // to another process
			g.applier = s.newApplier(g.consumer)
		}
		g.rewind()
		s.counts["rebalances"]++
	case x < 12: // offsets are set back
		g := s.groups[s.rand.IntN(len(s.groups))]
		if g.busy == nil {
			back := int64(1 + s.rand.IntN(30))
			if s.chance(0.2) {
				back = 1 << 30
			}
			for at := range g.fetched {
				g.committed[at] = max(0, g.committed[at]-back)
			}
			g.rewind()
			s.trace("", "offsets of %s are set back by %d", g.consumer, back)
			s.counts["offset resets"]++
		}
	case x < 14: // the oldest records expire
		t := s.kafka.topics[s.kafka.order[s.rand.IntN(len(s.kafka.order))]]
		p := t.partitions[s.rand.IntN(len(t.partitions))]
		if len(p.records) > 0 {
			n := 1 + s.rand.IntN(len(p.records))
			s.kafka.expire(p, n)
			s.losses++
			s.trace("", "%s loses its %d oldest records", t.name, n)
			s.counts["records expired"] += n
		}
	case x < 15: // a topic is deleted, and made again
		name := s.kafka.order[s.rand.IntN(len(s.kafka.order))]
		s.kafka.create(name, len(s.kafka.topics[name].partitions))
		s.losses++
		s.trace("", "%s is deleted and made again", name)
		s.counts["topics made again"]++
	case x < 30:
		s.stray()
	case x < 50: // a lease of a relay may end
		s.jump(3 * time.Second)
	case x < 62: // a lease of a call may end
		s.jump(11 * time.Second)
	case x < 63:
		s.jump(20 * time.Minute)
	case x < 68: // a provider is down, maybe for longer than anyone waits
		name := s.effects()[s.rand.IntN(len(s.effects()))]
		s.outages[name] = s.tick + 200 + s.rand.IntN(2000)
		s.trace("", "what %s calls is down", name)
		s.counts["outages"]++
	case x < 69.5:
		s.jump([]time.Duration{16 * time.Minute, 25 * time.Hour, 8 * 24 * time.Hour}[s.rand.IntN(3)])
	case x < 69.8:
		s.outOfPower = true
	}
}

func (s *Sim) jump(d time.Duration) {
	s.now = s.now.Add(d)
	s.trace("", "the clock jumps by %v", d)
	s.counts["clock jumps"]++
}

func (s *Sim) effects() (names []string) {
	for _, c := range s.flow.Consumers() {
		if c.Rules()[0].Effect != nil {
			names = append(names, c.Name)
		}
	}
	return names
}

// verdictFor decides what befalls a process at the point where it stands.
func (s *Sim) verdictFor(p *process) verdict {
	if p.kind == atCall && s.outages[p.calls] > s.tick {
		return fail
	}
	if s.draining || !s.o.Faults || p.kind == atStart || p.kind == atWoken {
		return goOn
	}
	sleepy := 0.004
	if p.kind == atCall || p.kind == atCalled {
		sleepy = 0.03
	}
	if x := s.rand.Float64(); p.kind != atBegin && x < sleepy*s.fury && s.crashing == nil {
		// It is set aside; others go on. It comes here again.
		p.wakes = s.tick + 5 + s.rand.IntN(600)
		s.current = nil
		s.trace(p.saga, "%s#%d sleeps", p.name, p.id)
		s.counts["sleeps"]++
	}
	x := s.rand.Float64() * 1000 / s.fury
	switch p.kind {
	case atBegin, atStatement:
		switch {
		case x < 0.6:
			return crash
		case x < 1.0:
			return lose
		}
	case atCommit:
		switch {
		case x < 3:
			return crash
		case x < 7:
			return crashAfter
		case x < 10:
			return loseAnswer
		case x < 12:
			return lose
		}
	case atCall:
		switch {
		case x < 20:
			return crash
		case x < 70:
			return fail
		}
	case atCalled:
		switch {
		case x < 30:
			return crash
		case x < 80:
			return failAfter
		}
	case atAsk:
		if x < 150 {
			return fail
		}
	case atPublish:
		switch {
		case x < 15:
			return crash
		case x < 40:
			return fail
		case x < 55:
			return part
		}
	case atPublished:
		switch {
		case x < 30:
			return crash
		case x < 60:
			return failAfter
		}
	}
	return goOn
}
