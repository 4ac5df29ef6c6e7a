package choreo

import "sync"

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
