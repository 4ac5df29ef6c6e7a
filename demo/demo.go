package demo

import (
	"context"
	"fmt"
	"time"
)

// Options of a run.
type Options struct {
	URL         string        // of the API
	Sandbox     string        // URL of the sandbox, where it is not behind the API's
	Staff       string        // bearer token of staff
	Sagas       int           // how many to start
	Concurrency int           // clients at the same time
	Rate        float64       // sagas begun per second, after everybody has signed up; 0: as fast as the clients can
	For         time.Duration // with a rate: for how long
	Prompt      time.Duration // by when 99 of 100 commands of each kind are to be answered; 0: whenever
	Seed        uint64        // draws what is done; the same seed does the same
	Run         string        // part of the e-mail addresses, new in each run; a label of a domain
	Mode        string        // of all rentals; empty: half in each
	Patience    time.Duration // with a system that is away
	Wait        time.Duration // for all sagas to settle

	// Undoes are the steps that a consumer undoes, by its name.
	Undoes map[string][]string
	// Progress is told what is going on; may be nil.
	Progress func(string)
}

// Report is what a run found.
type Report struct {
	URL      string    `json:"url"`
	Seed     uint64    `json:"seed,omitempty"`
	Commands []Command `json:"commands,omitempty"`
	Sagas    []Story   `json:"sagas,omitempty"`
	Sums     []Sum     `json:"sums"`
	Took     Millis    `json:"tookMs"`
}

// Millis is a duration, in JSON as milliseconds.
type Millis time.Duration

// MarshalJSON writes whole milliseconds.
func (m Millis) MarshalJSON() ([]byte, error) {
	return fmt.Append(nil, time.Duration(m).Milliseconds()), nil
}

// Command is how one kind of command was answered.
type Command struct {
	Name     string  `json:"name"`
	Answered int     `json:"answered"`
	Lost     int     `json:"lost"` // their answers were
	Median   Millis  `json:"medianMs"`
	P99      Millis  `json:"p99Ms"` // 99 of 100 were answered by then
	Slowest  Millis  `json:"slowestMs"`
	PerSec   float64 `json:"perSecond"` // while this kind was being sent
}

// Story is a saga with what the client had in mind.
type Story struct {
	Label string `json:"label,omitempty"`
	*Saga
}

// Sum is one thing that was added up. It holds when nothing is wrong.
type Sum struct {
	Name  string   `json:"name"`
	Text  string   `json:"text"`
	Wrong []string `json:"wrong,omitempty"`
}

// OK tells whether all sums hold.
func (r *Report) OK() bool {
	for _, s := range r.Sums {
		if len(s.Wrong) > 0 {
			return false
		}
	}
	return true
}

// Run drives the system, waits for every saga to settle, and adds up.
func Run(ctx context.Context, o Options) (*Report, error) {
	began := time.Now()
	c, err := o.connect()
	if err != nil {
		return nil, err
	}
	from, err := c.end(ctx)
	if err != nil {
		return nil, fmt.Errorf("finding the end of the log: %w", err)
	}
	if o.Rate > 0 {
		o.Sagas = int(o.Rate * o.For.Seconds())
	}
	cast := newCrew(c, o)
	p := draw(o.Sagas, o.Seed)
	if err := cast.perform(ctx, &p); err != nil {
		return nil, err
	}
	b := &books{client: c, from: from, after: from, progress: o.Progress}
	if err := b.close(ctx, o.Wait); err != nil {
		return nil, err
	}
	r := &Report{URL: o.URL, Seed: o.Seed, Commands: cast.commands(), Sagas: b.stories(cast.labels)}
	r.Sums = append([]Sum{cast.promises(b.facts)}, b.sums...)
	if o.Prompt > 0 {
		r.Sums = append(r.Sums, promptSum(r.Commands, o.Prompt))
	}
	r.Took = Millis(time.Since(began))
	return r, nil
}

// Verify only adds up, over everything that the system has ever done.
func Verify(ctx context.Context, o Options) (*Report, error) {
	began := time.Now()
	c, err := o.connect()
	if err != nil {
		return nil, err
	}
	b := &books{client: c, progress: o.Progress}
	if err := b.close(ctx, o.Wait); err != nil {
		return nil, err
	}
	return &Report{URL: o.URL, Sums: b.sums, Took: Millis(time.Since(began))}, nil
}

func (o *Options) connect() (*client, error) {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	return newClient(o.URL, o.Sandbox, o.Staff, o.Patience)
}
