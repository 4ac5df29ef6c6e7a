package sim

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// kind is where a process stands when it asks the scheduler.
type kind int

const (
	atStart kind = iota
	atBegin
	atStatement
	atCommit
	atCall   // before the deed
	atCalled // after it
	atAsk
	atPublish
	atPublished
	atWoken // a lock it waited for was given
)

// verdict is how it goes on.
type verdict int

const (
	goOn       verdict = iota
	crash              // the process dies here
	crashAfter         // it dies after what it is about to do
	lose               // its connection breaks here
	loseAnswer         // it is done, and the answer is lost
	fail               // what it asked for is refused for now
	failAfter          // it is done, and the answer never comes
	part               // some of it fails
)

var verdicts = [...]string{"", "crash", "crash after", "connection lost", "answer lost", "fails", "times out after the deed", "fails in part"}

type state int

const (
	running state = iota
	parked
	blocked
	ended
)

// process is one step of the choreography under way: a goroutine that runs only
// while the scheduler has turned to it.
type process struct {
	sim    *Sim
	id     int
	name   string
	saga   string
	calls  string // the effect that is at its call
	resume chan verdict
	state  state
	kind   kind
	what   string
	wakes  int // not before this tick
	whole  bool
	dead   bool
	intent string    // the step that it meant to call
	inCall string    // the step whose call it is at
	clock  time.Time // of its last transaction
	tried  bool      // it has called, or failed to load
	victim bool
	waited atomic.Bool  // its statement was seen to wait for a lock
	pid    atomic.Int64 // of the session that runs its statement
	fault  bool         // this process is given no faults when false

	pending []Note
	err     error
	done    func(error) // called by the scheduler when it has ended
}

type processKey struct{}

func processOf(ctx context.Context) *process {
	p, _ := ctx.Value(processKey{}).(*process)
	return p
}

// spawn starts a process, parked before its first step.
func (s *Sim) spawn(name string, body func(context.Context) error, done func(error)) *process {
	s.lastID++
	p := &process{sim: s, id: s.lastID, name: name, resume: make(chan verdict), state: parked, kind: atStart,
		what: "start", done: done, whole: s.chance(0.5), fault: true}
	s.live = append(s.live, p)
	ctx := context.WithValue(context.Background(), processKey{}, p)
	go func() {
		<-p.resume
		defer func() {
			if x := recover(); x != nil {
				p.err = fmt.Errorf("panic: %v\n%s", x, debug.Stack())
				s.panicked = p.err
			}
			s.events <- event{p, ended, atStart, ""}
		}()
		p.err = body(ctx)
	}()
	return p
}

// park gives the turn back and waits for the next.
func (p *process) park(k kind, what string) verdict {
	p.sim.events <- event{p, parked, k, what}
	return <-p.resume
}

// Pause lets others have a turn: a provider is at work. It tells whether the
// process that asked it is still there to be answered.
func Pause(ctx context.Context, what string) bool {
	p := processOf(ctx)
	if p != nil && !p.dead {
		p.park(atWoken, what)
	}
	return p == nil || !p.dead && p.sim.now.Sub(p.clock) <= callTimeout
}

// released waits for the turn after a statement that had to wait for a lock.
func (p *process) released() {
	if p.waited.Swap(false) {
		p.park(atWoken, "has its lock")
	}
}

// turn gives a process its turn, and returns when it has parked, ended, or
// waits for a lock.
func (s *Sim) turn(p *process, v verdict) {
	s.trace(p.saga, "%s#%d %s%s", p.name, p.id, p.what, mark(v))
	s.counts["points"]++
	if v != goOn {
		s.counts[verdicts[v]]++
	}
	p.state = running
	p.pid.Store(0)
	p.resume <- v
	s.await(p)
	s.settleBlocked()
}

func mark(v verdict) string {
	if v == goOn {
		return ""
	}
	return " ✗ " + verdicts[v]
}

// event is a process giving the turn back.
type event struct {
	p     *process
	state state
	kind  kind
	what  string
}

// take notes where the one that has given the turn back stands.
func (s *Sim) take(e event, from *process) {
	if e.p != from {
		s.broken(fmt.Errorf("%s#%d went on without its turn, in that of %s#%d", e.p.name, e.p.id, from.name, from.id))
	}
	e.p.state, e.p.kind, e.p.what = e.state, e.kind, e.what
}

// await waits until the process gives the turn back, or waits for a lock. It is
// the only one that runs.
func (s *Sim) await(p *process) {
	s.runs(p)
	switch p.state {
	case blocked:
		s.trace(p.saga, "%s#%d waits for a lock", p.name, p.id)
		s.counts["waits for locks"]++
		s.breakDeadlock(p)
	default:
		s.left(p)
	}
}

// runs returns when the process has given the turn back, or is seen to wait for a
// lock: then its session of Postgres is stopped, where it sleeps. Postgres may
// wake several at once, which would go on side by side, each as fast as it can;
// stopped, they go on as the scheduler says.
func (s *Sim) runs(p *process) {
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		s.timer.Reset(wait)
		select {
		case e := <-s.events:
			s.take(e, p)
			return
		case <-s.timer.C:
		}
		if p.pid.Load() != 0 && s.waitsForLock(p) {
			p.state = blocked
			p.waited.Store(true)
			s.signal(p, syscall.SIGSTOP)
			return
		}
	}
}

// signal stops the session of a process, or has it go on.
func (s *Sim) signal(p *process, sig syscall.Signal) {
	if err := syscall.Kill(int(p.pid.Load()), sig); err != nil {
		s.broken(fmt.Errorf("sending %v to a session of Postgres, which must run on this machine: %w", sig, err))
	}
}

// left deals with a process that has parked or ended.
func (s *Sim) left(p *process) {
	if p.state != ended {
		return
	}
	s.live = slices.DeleteFunc(s.live, func(q *process) bool { return q == p })
	if s.current == p {
		s.current = nil
	}
	err := p.err
	if p.dead {
		err = errDied
	}
	s.trace(p.saga, "%s#%d ends%s", p.name, p.id, outcomeOf(err))
	s.now = s.now.Add(time.Duration(s.rand.IntN(3000)) * time.Microsecond)
	p.done(err)
}

func outcomeOf(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	if i := strings.IndexByte(text, '\n'); i >= 0 {
		text = text[:i]
	}
	return ": " + text
}

// blockers asks Postgres which of its sessions hold up the process.
func (s *Sim) blockers(p *process) []int64 {
	return s.pids(`pg_blocking_pids(` + strconv.FormatInt(p.pid.Load(), 10) + `)`)
}

func (s *Sim) waitsForLock(p *process) bool { return len(s.blockers(p)) > 0 }

// pids asks Postgres for an array of sessions.
func (s *Sim) pids(array string) (pids []int64) {
	t, err := s.monitor.query(`select array_to_string(`+array+`, ',')`, nil)
	if err != nil {
		s.broken(err)
		return nil
	}
	for part := range strings.SplitSeq(t.text(t.values[0][0]), ",") {
		if pid, err := strconv.ParseInt(part, 10, 64); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// blocked are those that wait for a lock, in the order they came in.
func (s *Sim) blocked() (all []*process) {
	for _, p := range s.live {
		if p.state == blocked {
			all = append(all, p)
		}
	}
	return all
}

// given is the first of the blocked whose lock has been given to it; nil where
// all of them wait still.
func (s *Sim) given() *process {
	all := s.blocked()
	if len(all) == 0 {
		return nil
	}
	ids := make([]string, len(all))
	for i, p := range all {
		ids[i] = strconv.FormatInt(p.pid.Load(), 10)
	}
	free := s.pids(`array(select pid from unnest(array[` + strings.Join(ids, ",") + `]) pid where pg_blocking_pids(pid) = '{}')`)
	for _, p := range all {
		if slices.Contains(free, p.pid.Load()) {
			return p
		}
	}
	return nil
}

// settleBlocked finds who is given the lock that it waits for: whoever had it has
// committed, rolled back, or failed. Each of them goes on to where it parks, or
// waits for the next, one after the other.
func (s *Sim) settleBlocked() {
	for p := s.given(); p != nil && s.err == nil; p = s.given() {
		s.signal(p, syscall.SIGCONT)
		s.runs(p)
	}
}

// breakDeadlock cancels the statement of the process that has just closed a
// circle of waiting, as Postgres would some time later.
func (s *Sim) breakDeadlock(p *process) {
	byPid := map[int64]*process{}
	for _, q := range s.blocked() {
		byPid[q.pid.Load()] = q
	}
	seen := map[*process]bool{}
	var circle func(q *process) bool
	circle = func(q *process) bool {
		for _, pid := range s.blockers(q) {
			b := byPid[pid]
			if b == p {
				return true
			}
			if b != nil && !seen[b] {
				seen[b] = true
				if circle(b) {
					return true
				}
			}
		}
		return false
	}
	if !circle(p) {
		return
	}
	s.trace(p.saga, "%s#%d is the victim of a deadlock", p.name, p.id)
	s.counts["deadlocks"]++
	p.victim = true
	if _, err := s.monitor.query(fmt.Sprintf(`select pg_cancel_backend(%d)`, p.pid.Load()), nil); err != nil {
		s.broken(err)
	}
	s.signal(p, syscall.SIGCONT)
	s.take(<-s.events, p)
}
