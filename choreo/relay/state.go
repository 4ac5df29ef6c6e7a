package relay

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// What a relay is at.
const (
	Relaying = "relaying"
	Standby  = "standing by"
	HeldUp   = "held up"
)

// State is how relaying goes. While it is held up, because Kafka is away or one
// of its partitions is, commands go on being accepted; what they emit is kept in
// order until it can be published.
type State struct {
	State   string    `json:"state"`
	Since   time.Time `json:"since"`            // when it came to this
	Reason  string    `json:"reason,omitempty"` // why it is held up
	Waiting int64     `json:"waiting"`          // facts that are committed and not on Kafka
}

// Note says in words what an operator should know, empty where nothing.
func (s State) Note() string {
	if s.State != HeldUp {
		return ""
	}
	return fmt.Sprintf("the relay is held up since %s, %d facts wait; commands go on being accepted: %s",
		s.Since.Format(time.RFC3339), s.Waiting, s.Reason)
}

// course is what a running relay says of itself.
type course struct {
	mu     sync.Mutex
	state  string
	since  time.Time
	reason string
}

// turn notes how a turn ended, and tells what it was before that, and since when.
func (c *course) turn(state string, err error) (before string, since time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, since = c.state, c.since
	if c.reason = ""; err != nil {
		c.reason = err.Error()
	}
	if c.state != state {
		c.state, c.since = state, time.Now().UTC()
	}
	return before, since
}

// State tells how relaying goes, while Run runs.
func (r *Relay) State(ctx context.Context) (State, error) {
	r.course.mu.Lock()
	s := State{State: r.course.state, Since: r.course.since, Reason: r.course.reason}
	r.course.mu.Unlock()
	if s.State == "" {
		s.State, s.Since = Standby, time.Now().UTC() // it has not begun
	}
	err := r.db.Pool().QueryRowContext(ctx, `select (select count(*) from choreo.outbox)
		+ (select coalesce(sum(s.head - f.sequence), 0) from choreo.streams s join choreo.forwarded f on f.stream = s.id
		   where s.source = $1)`, r.db.Source()).Scan(&s.Waiting)
	if err != nil {
		return s, fmt.Errorf("counting what waits for the relay: %w", err)
	}
	return s, nil
}
