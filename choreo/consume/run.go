package consume

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"troupe/choreo"
	"troupe/choreo/broker"
	"troupe/choreo/internal/crashpoint"
	"troupe/choreo/steps"
)

// Process runs some consumers of a flow in this process: a Watermill router
// subscribes each to its topics, a feeder each local one to the log, and one
// runner runs the steps of all.
type Process struct {
	db        *choreo.DB
	log       *slog.Logger
	consumers []*choreo.Consumer
	runners   []*steps.Runner // one for each database
	metrics   *Metrics

	router      *message.Router
	subscribers map[string]*broker.Subscriber
	feeders     []*Feeder

	mu    sync.Mutex
	stuck map[string]error // consumers that cannot go on, and why
}

// Metrics count records.
type Metrics struct {
	records   *prometheus.CounterVec
	providers *prometheus.GaugeVec
}

// NewMetrics registers troupe_records_total{consumer,outcome} and
// troupe_provider_down{provider}.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{records: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "troupe_records_total", Help: "Records taken, by consumer and by what became of them.",
	}, []string{"consumer", "outcome"}), providers: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "troupe_provider_down", Help: "1 while a provider does not answer this process, and what calls it waits.",
	}, []string{"provider"})}
	reg.MustRegister(m.records, m.providers)
	return m
}

// NewProcess prepares the consumers; Run runs them.
func NewProcess(db *choreo.DB, c broker.Config, consumers []*choreo.Consumer, m *Metrics, o steps.Options) (*Process, error) {
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: 3 * time.Second}, quiet{c.Log})
	if err != nil {
		return nil, fmt.Errorf("making the router: %w", err)
	}
	o.Log, o.Provider = c.Log, m.provider
	p := &Process{
		db: db, log: c.Log, consumers: consumers, metrics: m, router: router,
		subscribers: map[string]*broker.Subscriber{}, stuck: map[string]error{},
	}
	runners := map[*choreo.DB]*steps.Runner{}
	for _, home := range []*choreo.DB{db, db.ViewsHome()} {
		here := slices.DeleteFunc(slices.Clone(consumers), func(c *choreo.Consumer) bool { return db.Home(c) != home })
		if runners[home] == nil && len(here) > 0 {
			runners[home] = steps.NewRunner(home, here, o)
			p.runners = append(p.runners, runners[home])
		}
	}
	router.AddMiddleware(middleware.Recoverer)
	for _, consumer := range consumers {
		topics := consumer.Topics()
		if len(topics) == 0 {
			continue // it reacts to domain facts only
		}
		a := &Applier{DB: db, Consumer: consumer, Enqueued: runners[db.Home(consumer)].Wake}
		if consumer.Local() {
			p.feeders = append(p.feeders, NewFeeder(a, c.Log))
			continue
		}
		s := broker.NewSubscriber(c, consumer.Name, consumer.Parallel())
		s.Ahead = a.Ahead
		p.subscribers[consumer.Name] = s
		router.AddConsumerHandler(consumer.Name, strings.Join(topics, ","), s, p.handle(a))
	}
	return p, nil
}

// handle applies the batch of a message; an error has it come again.
func (p *Process) handle(a *Applier) message.NoPublishHandlerFunc {
	return func(msg *message.Message) error {
		counts, err := a.batchWhenResumed(msg.Context(), broker.BatchOf(msg))
		for outcome, n := range counts {
			p.metrics.records.WithLabelValues(a.Consumer.Name, string(outcome)).Add(float64(n))
		}
		p.trouble(a.Consumer.Name, err)
		if err == nil && len(counts) > 0 {
			crashpoint.At(a.Consumer.Name, crashpoint.BeforeMark)
		}
		if err != nil && msg.Context().Err() == nil {
			p.metrics.records.WithLabelValues(a.Consumer.Name, "retried").Inc()
			p.log.Warn("a batch could not be applied; it is tried again", "consumer", a.Consumer.Name, "error", err)
		}
		return err
	}
}

// trouble notes what keeps a consumer from going on, nil when it does.
func (p *Process) trouble(consumer string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil && (choreo.IsBroken(err) || errors.Is(err, ErrGap) || errors.Is(err, ErrUndecided)) {
		p.stuck[consumer] = err
	} else {
		delete(p.stuck, consumer)
	}
}

// Run runs until ctx ends or a part fails.
func (p *Process) Run(ctx context.Context, hints *choreo.Hints) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, r := range p.runners {
		g.Go(func() error { return r.Run(ctx) })
	}
	g.Go(func() error { return p.maintain(ctx) })
	for _, f := range p.feeders {
		g.Go(func() error { return f.Run(ctx, hints) })
	}
	for _, s := range p.subscribers {
		g.Go(func() error {
			select {
			case <-ctx.Done():
				return nil
			case err := <-s.Failed():
				return err
			}
		})
	}
	if len(p.subscribers) > 0 {
		g.Go(func() error { return p.router.Run(ctx) })
	}
	return g.Wait()
}

// provider shows whether a provider answers.
func (m *Metrics) provider(name string, down bool) {
	value := 0.0
	if down {
		value = 1
	}
	m.providers.WithLabelValues(name).Set(value)
}

// Troubles are the providers that do not answer. The process is ready all the
// same: what calls them waits, and everything else goes on.
func (p *Process) Troubles() (all []string) {
	for _, r := range p.runners {
		for _, t := range r.Troubles() {
			all = append(all, t.String())
		}
	}
	return all
}

// ErrNotJoined is a consumer that is not in its group yet.
var ErrNotJoined = errors.New("not joined yet")

// Ready says which consumers have not joined their groups, or cannot go on.
func (p *Process) Ready() error {
	var missing []string
	for _, c := range p.consumers {
		if s := p.subscribers[c.Name]; s != nil && !s.Joined() {
			missing = append(missing, c.Name)
		}
	}
	var errs []error
	if len(missing) > 0 {
		errs = append(errs, fmt.Errorf("%w: %s", ErrNotJoined, strings.Join(missing, ", ")))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, err := range p.stuck {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// quiet is Watermill's logger: its errors only, since ours are logged where
// they arise and the rest is of no use to an operator.
type quiet struct{ log *slog.Logger }

func (q quiet) Error(msg string, err error, fields watermill.LogFields) {
	if errors.Is(err, context.Canceled) {
		return
	}
	q.log.Debug("watermill: "+msg, "error", err, "fields", fields)
}
func (q quiet) Info(string, watermill.LogFields)                 {}
func (q quiet) Debug(string, watermill.LogFields)                {}
func (q quiet) Trace(string, watermill.LogFields)                {}
func (q quiet) With(watermill.LogFields) watermill.LoggerAdapter { return q }
