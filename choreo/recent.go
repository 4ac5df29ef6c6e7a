package choreo

import (
	"sync"
	"time"
)

const (
	recently   = 5 * time.Second // the least that a fact is remembered for; twice that the longest
	mostRecent = 50_000          // facts in a generation
)

// Recent remembers, for some seconds, the last event under a name: what this
// process has just written, so that a reader of a view can wait for it without
// being told. It is bounded, forgets early when there is much, and is safe for
// concurrent use.
type Recent struct {
	mu       sync.Mutex
	now, old map[string]string // two generations
	turned   time.Time
}

// Note remembers the event as the last under the name.
func (r *Recent) Note(name, eventID string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn()
	r.now[name] = eventID
}

// Last is the last event under the name, empty where none is remembered.
func (r *Recent) Last(name string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn()
	if id := r.now[name]; id != "" {
		return id
	}
	return r.old[name]
}

func (r *Recent) turn() {
	age := time.Since(r.turned)
	if age < recently && len(r.now) < mostRecent {
		return
	}
	r.old = r.now
	if age > 2*recently {
		r.old = nil
	}
	r.now, r.turned = map[string]string{}, time.Now()
}

// noteRecent remembers the facts of a unit that was committed.
func (u *Unit) noteRecent() {
	if u.db.recent == nil {
		return
	}
	for _, p := range u.queue {
		if !u.db.flow.IsDomain(p.Type) {
			u.db.recent.Note(p.Topic()+" "+p.Key, p.ID)
		}
	}
}

// LastOf is the last event of the topic and key that this process has just
// committed, empty where there is none, or the handle does not remember.
func (db *DB) LastOf(topic, key string) string {
	if db.recent == nil {
		return ""
	}
	return db.recent.Last(topic + " " + key)
}
