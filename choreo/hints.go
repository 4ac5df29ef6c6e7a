package choreo

import (
	"context"
	"sync"
	"time"
)

// Hints spreads one source of hints to whoever waits for the next.
type Hints struct {
	mu   sync.Mutex
	next chan struct{}
}

// Next is closed by the next hint. Whoever looks for news takes it before
// looking, and so misses none.
func (h *Hints) Next() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.next == nil {
		h.next = make(chan struct{})
	}
	return h.next
}

// Give wakes everyone who waits.
func (h *Hints) Give() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.next != nil {
		close(h.next)
		h.next = nil
	}
}

// Look calls look until ctx ends: again at once while there is more, else with
// the next hint, or after every, since a hint may be missed.
func (h *Hints) Look(ctx context.Context, every time.Duration, look func(context.Context) (more bool)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for ctx.Err() == nil {
		next := h.Next()
		if look(ctx) {
			continue
		}
		select {
		case <-ctx.Done():
		case <-next:
		case <-tick.C:
		}
	}
}
