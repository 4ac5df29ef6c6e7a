package api

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// Rate is how often something may be done by one client: Times within Per, in
// bursts of as many. The zero value is without limit.
type Rate struct {
	Times int
	Per   time.Duration

	Loopback bool // clients on this machine are bounded too
}

// ParseRate reads a rate such as 10/1m; off is none.
func ParseRate(text string) (Rate, error) {
	if text == "off" || text == "0" {
		return Rate{}, nil
	}
	times, per, _ := strings.Cut(text, "/")
	n, err := strconv.Atoi(times)
	d, perErr := time.ParseDuration(per)
	if err != nil || perErr != nil || n < 1 || d <= 0 {
		return Rate{}, fmt.Errorf("%q is no rate: write it like 10/1m, or off", text)
	}
	return Rate{Times: n, Per: d}, nil
}

// Rates bound what costs much or lets secrets be guessed, in each process of the
// API by itself.
type Rates struct {
	SignUp    Rate // of one address on the network
	SignIn    Rate // of one address on the network
	SendAgain Rate // of one account

	Proxies []netip.Prefix // whose X-Forwarded-For is believed
}

// limits is the state of one rate: for each client the time up to which it has
// used its share (the generic cell rate algorithm, ITU-T I.371).
type limits struct {
	rate Rate

	mu    sync.Mutex
	until map[string]time.Time
	swept time.Time
}

func newLimits(r Rate) *limits { return &limits{rate: r, until: map[string]time.Time{}} }

// take lets the client go on, or says how long it has to wait.
func (l *limits) take(client string, now time.Time) (wait time.Duration) {
	if l.rate.Times == 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep(now)
	each := l.rate.Per / time.Duration(l.rate.Times)
	until := l.until[client]
	if until.Before(now) {
		until = now
	}
	if wait := until.Add(each).Sub(now) - l.rate.Per; wait > 0 {
		return wait
	}
	l.until[client] = until.Add(each)
	return 0
}

// sweep forgets, once in a while, the clients that have their whole share again.
func (l *limits) sweep(now time.Time) {
	if now.Sub(l.swept) < l.rate.Per {
		return
	}
	l.swept = now
	for client, until := range l.until {
		if until.Before(now) {
			delete(l.until, client)
		}
	}
}

// limited bounds an operation by a rate of the client that sends it.
func (s *Server) limited(l *limits) huma.Middlewares {
	return huma.Middlewares{func(ctx huma.Context, next func(huma.Context)) {
		r, w := humago.Unwrap(ctx)
		if !l.rate.Loopback && s.isLocal(r) {
			next(ctx)
			return
		}
		client := caller(ctx.Context()).AccountID
		if client == "" {
			client = s.addressOf(r)
		}
		if wait := l.take(client, time.Now()); wait > 0 {
			s.tooMany(w, wait)
			return
		}
		next(ctx)
	}}
}

// tooMany answers that the client has to wait, in whole seconds after which it is
// certainly possible.
func (s *Server) tooMany(w http.ResponseWriter, wait time.Duration) {
	seconds := int((wait + time.Second - 1) / time.Second)
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	s.writeProblem(w, http.StatusTooManyRequests, fmt.Sprintf("too often; try again in %d s", seconds))
}

// isLocal tells whether the client is on this machine.
func (s *Server) isLocal(r *http.Request) bool {
	a, err := netip.ParseAddr(s.addressOf(r))
	return err == nil && a.IsLoopback()
}

var errNoAddress = errors.New("no address")

// addressOf is the network address of the client: what sent the request, or, if
// that is a proxy that is believed, the last that its header names and that is
// none itself. Addresses of IPv6 count by their /64, which one client owns.
func (s *Server) addressOf(r *http.Request) string {
	a, err := peer(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && s.believes(a); i-- {
		next, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		a = next.Unmap()
	}
	if a.Is6() && !a.IsLoopback() {
		if p, err := a.Prefix(64); err == nil {
			return p.Masked().Addr().String()
		}
	}
	return a.String()
}

func peer(remote string) (netip.Addr, error) {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return netip.Addr{}, errNoAddress
	}
	a, err := netip.ParseAddr(host)
	return a.Unmap(), err
}

func (s *Server) believes(a netip.Addr) bool {
	for _, p := range s.Rates.Proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
