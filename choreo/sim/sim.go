// Package sim simulates a whole choreography, deterministically: one seeded
// scheduler over real SQL runs commands, relays, consumers, feeders and steps,
// one statement at a time, and decides deliveries, duplicates, delays, crashes
// between any two statements, lost connections, what providers answer, what
// Kafka loses, when the power fails, Postgres crashes or is set back to a backup,
// and time. The same seed gives the same trace.
//
// It drives the engine as it is: the relay's, consumers' and steps' single
// steps, over connections that ask the scheduler before every statement. Only
// Kafka and the world outside are in memory, with the truth of what was done.
package sim

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/lib/pq"

	"troupe/choreo"
	"troupe/choreo/consume"
	"troupe/choreo/internal/safeguard"
	"troupe/choreo/relay"
	"troupe/choreo/steps"
)

// Play is what is simulated: a flow over a simulated world, the sagas that are
// started, and what must hold at the end beyond what holds for every flow.
type Play struct {
	Flow func(*Sim) (*choreo.Flow, error)
	// Saga is the script of the n-th saga.
	Saga func(s *Sim, n int) []Act
	// Stray is a fact of nobody's, for forged and foreign records.
	Stray func(s *Sim) choreo.Fact
	// Check looks at the end for what the play promises beyond the engine.
	Check func(ctx context.Context, s *Sim) ([]Violation, error)
}

// Act is a command of a saga's script, run when the one before it has ended
// and After has passed since.
type Act struct {
	Name  string
	After time.Duration
	Do    func(context.Context, *choreo.DB) (choreo.Receipt, error)
}

// Options of a run.
type Options struct {
	Seed   uint64
	Sagas  int
	Faults bool
	// Database is the URL of a database that is migrated and otherwise empty. Its
	// server runs on this machine, as us or below us: its sessions are stopped and
	// continued.
	Database string
	Verbose  bool // the trace goes to standard error as it comes
	// Mutation names a safeguard of the engine to be switched off, in a build
	// with the tag mutations.
	Mutation string
	// MaxPoints bounds the run; 0 is enough for the number of sagas.
	MaxPoints int
	// Backup keeps the database as it is, and Restore sets it back to that,
	// while nobody is connected. Without them that is never done.
	Backup, Restore func(context.Context) error
}

// Violation is an invariant that does not hold.
type Violation struct {
	Invariant string
	Saga      string // empty where it is of no one saga
	Detail    string
}

func (v Violation) String() string { return v.Invariant + ": " + v.Detail }

// Report is what came of a run.
type Report struct {
	Seed       uint64
	Sagas      int
	Counts     map[string]int
	Digest     string
	Took       time.Duration
	Simulated  time.Duration
	Violations []Violation
	Err        error // the simulation itself could not go on

	lines []line
}

type line struct {
	n    int
	saga string
	text string
}

// Sim is a run under way.
type Sim struct {
	DB   *choreo.DB
	o    Options
	play Play
	flow *choreo.Flow
	rand *rand.Rand
	pool *sql.DB
	base *pq.Connector

	backends   *connector
	monitor    *backend
	events     chan event
	timer      *time.Timer
	live       []*process
	current    *process
	lastID     int
	tick       int
	start, now time.Time
	stepsStale atomic.Bool
	err        error
	panicked   error

	kafka   *kafka
	relays  [2]*relayer
	groups  []*group
	feeders []*feeder
	runners [2]*steps.Runner
	lists   lister
	sagas   []*script
	due     []dueStep
	losses  int
	settled int // the losses when everything was found at rest

	restores   []restore       // that are to come
	backup     *backup         // the last one
	crashing   *conn           // its commit is lost, and Postgres about to crash
	lostKeys   map[string]bool // what the facts were about that restores have taken back
	refused    error           // why the relay does not go on: the database was set back
	refusals   int
	setBack    bool // it was, and goes on under its old source
	over       bool // a broken invariant leaves nothing to do
	outOfPower bool

	fury     float64        // how much goes wrong, of this seed
	outages  map[string]int // consumer -> the tick when its provider is up again
	strays   int
	strayed  map[string]bool // those that are events of others, and whether they must be found to be
	forged   []string        // those that bear our present source
	search   bool            // there may be some that are not in the log yet
	draining bool

	notes    []Note
	ids      map[string]string // of facts of reactions, by what makes them what they are
	emitAt   map[string]int    // how much was committed when a fact took its place in the outbox
	holders  map[string]int    // who meant to call last, by step
	wrong    []Violation       // seen on the way
	calls    []Call
	intended map[string]bool // consumer and event of the intents committed
	counts   map[string]int
	digest   hash.Hash
	lines    []line
	shorts   map[string]string
}

type relayer struct {
	relay *relay.Relay
	first bool // it is the active one, as far as it knows
	busy  *process
	dirty bool
	at    time.Time // not before
}

type feeder struct {
	name  string
	feed  *consume.Feeder
	busy  int
	dirty bool
}

// lister is the cursor that keeps the lists of sagas.
type lister struct {
	busy  *process
	dirty bool
	at    time.Time // not before
}

type script struct {
	n    int
	acts []Act
	at   time.Time
	busy bool
}

type dueStep struct {
	id       int64
	consumer string
	at       time.Time
	trying   int
	watched  bool // it gave up, and is asked about
}

var errDied = errors.New("it died")

// Run simulates a play.
func Run(ctx context.Context, play Play, o Options) *Report {
	began := time.Now()
	s := &Sim{o: o, play: play, rand: rand.New(rand.NewPCG(o.Seed, o.Seed^0x9e3779b97f4a7c15)), events: make(chan event),
		timer: time.NewTimer(time.Hour), start: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), outages: map[string]int{},
		counts: map[string]int{}, digest: sha256.New(), shorts: map[string]string{}, intended: map[string]bool{}, ids: map[string]string{}, holders: map[string]int{}, emitAt: map[string]int{}, lostKeys: map[string]bool{}}
	s.now = s.start
	s.fury = []float64{0.3, 1, 2, 4}[s.rand.IntN(4)]
	var err error
	if !safeguard.Switch(o.Mutation) && o.Mutation != "" {
		err = errors.New("this build has no mutations: build it with -tags mutations")
	} else {
		err = s.run(ctx)
	}
	r := &Report{Seed: o.Seed, Sagas: o.Sagas, Counts: s.counts, Took: time.Since(began), Simulated: s.now.Sub(s.start), lines: s.lines}
	if err == nil {
		r.Violations, err = s.check(ctx)
	}
	r.Err = errors.Join(err, s.panicked)
	r.Digest = hex.EncodeToString(s.digest.Sum(nil))
	return r
}

// Rand is the run's source of randomness, for plays.
func (s *Sim) Rand() *rand.Rand { return s.rand }

// Now is the simulated time.
func (s *Sim) Now() time.Time { return s.now }

// Note writes a line of the play's own into the trace.
func (s *Sim) Note(saga, format string, args ...any) { s.trace(saga, format, args...) }

// Draining tells that no more faults come.
func (s *Sim) Draining() bool { return s.draining }

// Count counts something of the play's.
func (s *Sim) Count(what string) { s.counts[what]++ }

func (s *Sim) chance(p float64) bool { return s.rand.Float64() < p }

func (s *Sim) broken(err error) { s.err = errors.Join(s.err, err) }

func (s *Sim) trace(saga, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	fmt.Fprintf(s.digest, "%d %s\n", s.now.UnixMicro(), text)
	at := s.now.Sub(s.start).Truncate(time.Millisecond)
	s.lines = append(s.lines, line{len(s.lines) + 1, saga, fmt.Sprintf("%-14v %s", at, text)})
	if s.o.Verbose {
		fmt.Fprintf(os.Stderr, "%6d %-14v %s\n", len(s.lines), at, text)
	}
}

// short is the head of a statement, for the trace.
func (s *Sim) short(query string) string {
	if t, ok := s.shorts[query]; ok {
		return t
	}
	t := strings.Join(strings.Fields(query), " ")
	if len(t) > 48 {
		t = t[:48]
	}
	if len(s.shorts) < 10000 {
		s.shorts[query] = t
	}
	return t
}

func (s *Sim) run(ctx context.Context) (err error) {
	if s.base, err = pq.NewConnector(s.o.Database); err != nil {
		return err
	}
	if err := s.connect(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.disconnect()) }()
	if err := s.setUp(ctx); err != nil {
		return err
	}
	return s.schedule(ctx)
}

// connect opens the connections of all that is simulated, and one that looks on.
func (s *Sim) connect(ctx context.Context) error {
	s.backends = &connector{sim: s, base: s.base}
	s.pool = sql.OpenDB(s.backends)
	s.pool.SetMaxOpenConns(60)
	s.pool.SetMaxIdleConns(60)
	raw, err := s.base.Connect(ctx)
	if err != nil {
		return err
	}
	s.monitor = &backend{conn: raw.(pqConn)}
	return nil
}

func (s *Sim) disconnect() error {
	if s.monitor == nil {
		return nil
	}
	for _, p := range s.blocked() { // where a run was broken off: a stopped session would outlive it
		s.signal(p, syscall.SIGCONT)
	}
	err := errors.Join(s.pool.Close(), s.backends.close(), s.monitor.conn.Close())
	s.monitor = nil
	return err
}

// schedule is the scheduler: turn by turn, until everything is at rest.
func (s *Sim) schedule(ctx context.Context) error {
	most := s.o.MaxPoints
	if most == 0 {
		most = 200000 + 4000*s.o.Sagas
	}
	for s.err == nil && s.panicked == nil && !s.over {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.tick++
		if s.counts["points"] > most {
			s.trace("", "it does not come to rest")
			s.counts["restless"]++
			break
		}
		if err := s.disasters(ctx); err != nil {
			return err
		}
		if s.stepsStale.Swap(false) {
			s.lookForSteps()
		}
		s.misfortune()
		if p := s.pick(); p != nil {
			s.turn(p, s.verdictFor(p))
			continue
		}
		if !s.wait() {
			break
		}
	}
	s.endAll()
	return errors.Join(s.err, s.panicked)
}

// pick chooses who has the next turn: the one that runs as a whole, one under
// way, or a new one.
func (s *Sim) pick() *process {
	if p := s.current; p != nil && p.state == parked && p.wakes <= s.tick {
		return p
	}
	s.current = nil
	var ready []*process
	for _, p := range s.live {
		if p.state == parked && p.wakes <= s.tick {
			ready = append(ready, p)
		}
	}
	if len(s.live) < 8 && (len(ready) == 0 || s.chance(0.3)) {
		if p := s.start1(); p != nil {
			if p.whole {
				s.current = p
			}
			return p
		}
	}
	if len(ready) == 0 {
		return s.wake()
	}
	p := ready[s.rand.IntN(len(ready))]
	if p.whole {
		s.current = p
	}
	return p
}

// wake ends the sleep of whoever has slept longest, where nothing else goes on.
func (s *Sim) wake() *process {
	for _, p := range s.live {
		if p.state == parked {
			p.wakes = 0
			return p
		}
	}
	return nil
}

// wait moves the clock to what comes next, and tells whether there is anything.
func (s *Sim) wait() bool {
	if len(s.live) > 0 {
		// A circle may have closed when one got a lock and waited for the next.
		for _, p := range slices.Clone(s.live) {
			if s.breakDeadlock(p); p.state != blocked {
				s.settleBlocked()
				return true
			}
		}
		s.broken(fmt.Errorf("all %d processes wait for locks", len(s.live)))
		return false
	}
	next := time.Time{}
	sooner := func(at time.Time) {
		if at.After(s.now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	for _, d := range s.due {
		sooner(d.at.Add(time.Millisecond))
	}
	acts := 0
	for _, sc := range s.sagas {
		if len(sc.acts) > 0 {
			acts++
			sooner(sc.at)
		}
	}
	if !s.draining && acts == 0 {
		s.draining = true
		s.trace("", "all commands are given: no more faults")
		s.outages = map[string]int{}
	}
	for _, r := range s.relays {
		if r.dirty {
			sooner(r.at)
		}
	}
	if s.lists.dirty {
		sooner(s.lists.at)
	}
	if next.IsZero() {
		if s.settled == s.losses {
			return false
		}
		s.losses++ // the ends of all partitions are told once more
		s.settled = s.losses
		for i := range s.relays {
			s.relays[i].dirty = true
		}
		return true
	}
	s.now = next
	return true
}
