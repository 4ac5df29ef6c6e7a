package consume

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"troupe/choreo"
	"troupe/choreo/broker"
	"troupe/choreo/steps"
)

// Process runs some consumers of a flow in this process: a Watermill router
// subscribes each to its topics, a feeder each local one to the log, and one
// runner runs the steps of all.
type Process struct {
	db        *choreo.DB
	log       *slog.Logger
	consumers []*choreo.Consumer
	runner    *steps.Runner
	metrics   *Metrics

	router      *message.Router
	subscribers map[string]*broker.Subscriber
	feeders     []*Feeder
}

// Metrics count records.
type Metrics struct{ records *prometheus.CounterVec }

// NewMetrics registers troupe_records_total{consumer,outcome}.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{records: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "troupe_records_total", Help: "Records taken, by consumer and by what became of them.",
	}, []string{"consumer", "outcome"})}
	reg.MustRegister(m.records)
	return m
}

// NewProcess prepares the consumers; Run runs them.
func NewProcess(db *choreo.DB, c broker.Config, consumers []*choreo.Consumer, m *Metrics, o steps.Options) (*Process, error) {
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: 3 * time.Second}, quiet{c.Log})
	if err != nil {
		return nil, fmt.Errorf("making the router: %w", err)
	}
	o.Log = c.Log
	p := &Process{
		db: db, log: c.Log, consumers: consumers, metrics: m, router: router,
		runner: steps.NewRunner(db, consumers, o), subscribers: map[string]*broker.Subscriber{},
	}
	router.AddMiddleware(middleware.Recoverer)
	for _, consumer := range consumers {
		topics := consumer.Topics()
		if len(topics) == 0 {
			continue // it reacts to domain facts only
		}
		a := &Applier{DB: db, Consumer: consumer, Enqueued: p.runner.Wake}
		if consumer.Local() {
			p.feeders = append(p.feeders, &Feeder{applier: a, topics: topics, log: c.Log})
			continue
		}
		s := broker.NewSubscriber(c, consumer.Name)
		p.subscribers[consumer.Name] = s
		router.AddConsumerHandler(consumer.Name, strings.Join(topics, ","), s, p.handle(a))
	}
	return p, nil
}

func (p *Process) handle(a *Applier) message.NoPublishHandlerFunc {
	return func(msg *message.Message) error {
		outcome, err := a.Record(msg.Context(), msg)
		if err != nil {
			if msg.Context().Err() == nil {
				p.log.Warn("a record could not be applied; it is tried again", "consumer", a.Consumer.Name,
					"record", msg.UUID, "error", err)
			}
			p.count(a, "retried")
			return err
		}
		p.count(a, outcome)
		return nil
	}
}

func (p *Process) count(a *Applier, outcome Outcome) {
	p.metrics.records.WithLabelValues(a.Consumer.Name, string(outcome)).Inc()
}

// Run runs until ctx ends or a part fails.
func (p *Process) Run(ctx context.Context, hints *Hints) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.runner.Run(ctx) })
	for _, f := range p.feeders {
		g.Go(func() error { return f.Run(ctx, hints.Listen()) })
	}
	if len(p.subscribers) > 0 {
		g.Go(func() error { return p.router.Run(ctx) })
	}
	return g.Wait()
}

// Ready says which consumers have not joined their groups.
func (p *Process) Ready() error {
	var missing []string
	for _, c := range p.consumers {
		if s := p.subscribers[c.Name]; s != nil && !s.Joined() {
			missing = append(missing, c.Name)
		}
	}
	if len(missing) > 0 {
		return errors.New("not joined yet: " + strings.Join(missing, ", "))
	}
	return nil
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
