package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"troupe/choreo"
)

// restore is one that is to come: after so many commands a backup is made, and
// after so many it is set back to.
type restore struct{ backup, restore int }

// backup is what was known when the last one was made.
type backup struct{ notes int }

// foresee says at which commands of the run the database is backed up, and set
// back. What happens in between is little, so that much of a run is held against
// what it should have come to.
func (s *Sim) foresee() {
	commands := 0
	for _, sc := range s.sagas {
		commands += len(sc.acts)
	}
	if s.o.Backup == nil || !s.o.Faults || commands == 0 {
		return
	}
	for range s.rand.IntN(4) {
		at := 1 + s.rand.IntN(commands)
		s.restores = append(s.restores, restore{at, min(commands, at+3+s.rand.IntN(15))})
	}
	slices.SortFunc(s.restores, func(a, b restore) int { return a.backup - b.backup })
}

// disasters are what nothing that runs survives: the power fails, Postgres
// crashes, or operators stop all to set the database back.
func (s *Sim) disasters(ctx context.Context) error {
	switch {
	case s.crashing != nil:
		if p := s.crashing.loser; slices.Contains(s.live, p) && !p.dead {
			return nil // it goes on, for as long as it does not need the database
		}
		return s.crash(ctx)
	case s.refused != nil:
		return s.answerRefusal(ctx)
	case s.outOfPower:
		s.outOfPower = false
		s.trace("", "the power fails")
		s.counts["power cuts"]++
		return s.restart(ctx, nil)
	case len(s.restores) == 0:
		return nil
	}
	next, given := s.restores[0], s.counts["commands"]
	switch {
	case s.backup == nil && given >= next.backup:
		s.trace("", "all stops, and the database is backed up")
		s.counts["backups"]++
		s.backup = &backup{len(s.notes)}
		return s.restart(ctx, s.o.Backup)
	case s.backup != nil && !s.setBack && given >= next.restore:
		s.restores = s.restores[1:]
		// Those who forget that it needs a new source are told by the relay.
		return s.goBack(ctx, s.chance(0.6))
	}
	return nil
}

// restart ends all that is under way, has something done while nobody is
// connected, and starts everything again.
func (s *Sim) restart(ctx context.Context, meanwhile func(context.Context) error) error {
	s.endAll()
	if len(s.live) > 0 {
		return fmt.Errorf("%d processes did not end", len(s.live))
	}
	if err := s.disconnect(); err != nil {
		return err
	}
	if meanwhile != nil {
		if err := meanwhile(ctx); err != nil {
			return err
		}
	}
	if err := s.connect(ctx); err != nil {
		return err
	}
	return s.startEngine(ctx)
}

// losesCommit decides about a commit that does not wait for the disk whether it
// is the last thing before a crash of Postgres, which loses it: whoever made it
// takes it for done, and goes on, alone, until it needs the database again.
func (c *conn) losesCommit(p *process) bool {
	s := c.sim
	if !c.lazy || p == nil || p.dead || s.draining || !s.o.Faults || s.crashing != nil || !s.chance(0.004*s.fury) {
		return false
	}
	s.crashing, c.loser, c.bad, c.inTx = c, p, true, false
	p.whole, p.pending, s.current = true, nil, p
	return true
}

// crash is that crash.
func (s *Sim) crash(ctx context.Context) error {
	c := s.crashing
	s.trace("", "Postgres crashes, and has lost the last commit of %s#%d", c.loser.name, c.loser.id)
	s.counts["crashes of Postgres"]++
	if err := c.exec("rollback"); err != nil {
		return err
	}
	s.crashing = nil
	s.backends.back(c.backend)
	s.settleBlocked()
	return s.restart(ctx, nil)
}

// goBack sets the database back to the last backup. The world outside, and Kafka,
// stay as they are.
func (s *Sim) goBack(ctx context.Context, newSource bool) error {
	s.trace("", "the database is set back, to where %d things were done of %d", s.backup.notes, len(s.notes))
	s.counts["restores"]++
	if newSource {
		s.jump(3 * time.Second) // the lease of the relay has ended
	}
	source := ""
	err := s.restart(ctx, func(ctx context.Context) (err error) {
		if err := s.o.Restore(ctx); err != nil || !newSource {
			return err
		}
		source, err = s.newSource(ctx)
		return err
	})
	s.forget(s.backup.notes)
	s.setBack = !newSource
	if !s.setBack {
		s.trace("", "it goes on as %s", source)
		s.backup = nil
	}
	return err
}

// newSource is what `troupe source new` does.
func (s *Sim) newSource(ctx context.Context) (string, error) {
	s.counts["new sources"]++
	for _, id := range s.forged { // nobody can tell them from what was lost
		s.strayed[id] = false
	}
	s.forged = nil
	pool, err := openPlain(s.o.Database, s.now)
	if err != nil {
		return "", err
	}
	_, source, err := choreo.NewEpoch(ctx, pool, true)
	return source, errors.Join(err, pool.Close())
}

// forget takes back what was done later, as the database has.
func (s *Sim) forget(after int) {
	for _, n := range s.notes[after:] {
		s.lostKeys[n.Event.Key] = true
	}
	s.notes = s.notes[:after]
	clear(s.holders)
	clear(s.intended)
	for _, n := range s.notes {
		if n.Kind == Intent {
			s.intended[n.Consumer+" "+n.Event.ID] = true
		}
	}
}

// answerRefusal is what operators do when the relay refuses: where the database
// was set back, they stop all and begin again, this time with a new source.
func (s *Sim) answerRefusal(ctx context.Context) error {
	why := s.refused
	s.refused = nil
	s.counts["refusals"]++
	if s.setBack {
		s.trace("", "the relay refuses: %v", why)
		return s.goBack(ctx, true)
	}
	s.wrong = append(s.wrong, Violation{"a relay refuses only what was set back", "", why.Error()})
	if s.refusals++; s.refusals == 3 {
		s.over = true
		return nil
	}
	s.jump(3 * time.Second)
	return s.restart(ctx, func(ctx context.Context) error {
		_, err := s.newSource(ctx)
		return err
	})
}

// touched are the sagas of which the world outside knows something that a restore
// has taken back: nobody can hold them against it.
func (s *Sim) touched() map[string]bool {
	sagas := map[string]bool{}
	for _, n := range s.notes {
		if s.lostKeys[n.Event.Key] {
			sagas[n.Event.Saga] = true
		}
	}
	return sagas
}

// untouched leaves out what is said of such sagas.
func (s *Sim) untouched(found []Violation) []Violation {
	sagas := s.touched()
	s.counts["sagas touched by restores"] = len(sagas)
	return slices.DeleteFunc(found, func(v Violation) bool { return sagas[v.Saga] })
}
