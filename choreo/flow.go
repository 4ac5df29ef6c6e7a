package choreo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"time"
)

// Line is one line of a flow: a command, a reaction, or what a fact means.
type Line interface{ addTo(*Flow) error }

// Outcome is what a final fact means for its saga.
type Outcome string

// The outcomes, from best to worst; Owed is not an outcome of the saga but an
// undo that is still due.
const (
	Completed Outcome = "completed"
	Undone    Outcome = "undone"
	Failed    Outcome = "failed"
	Owed      Outcome = "owed"
)

// MarshalJSON writes null for an outcome that is not known yet.
func (o Outcome) MarshalJSON() ([]byte, error) {
	if o == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(o))
}

// Position is where a new consumer begins.
type Position string

// The positions that a new consumer may be told to begin at.
const (
	Beginning Position = "beginning"
	Now       Position = "now"
)

// Flow is a choreography: who reacts to what, what may come of it, what undoes
// it. It is immutable and safe for concurrent use.
type Flow struct {
	commands  map[string]*CommandLine
	consumers map[string]*Consumer
	order     []string    // consumers as the flow lists them
	insiders  []*Consumer // of these, with a reaction that is InTransaction()

	commandOrder []string
	finals       map[string]Outcome
	domain       map[string]bool
	foreign      map[string]bool
	requests     map[string]bool
	facts        map[string]Fact // a zero fact of every type
	newest       map[string]Fact // by the type without its version
	emitted      map[string]bool
	undoneBy     map[string][]string // step -> consumers that undo it
	providers    map[string]int      // name -> calls at once
	views        []*ViewLine
}

// NewFlow joins the lines. It is an error to use a name twice for different
// things, to react twice to a fact under one name, or to undo what is not
// there.
func NewFlow(lines ...Line) (*Flow, error) {
	f := &Flow{
		commands: map[string]*CommandLine{}, consumers: map[string]*Consumer{},
		finals: map[string]Outcome{}, domain: map[string]bool{}, facts: map[string]Fact{}, newest: map[string]Fact{},
		foreign: map[string]bool{}, requests: map[string]bool{},
		emitted: map[string]bool{}, undoneBy: map[string][]string{}, providers: map[string]int{},
	}
	var errs []error
	for _, line := range lines {
		errs = append(errs, line.addTo(f))
	}
	for _, name := range f.order {
		for _, r := range f.consumers[name].rules {
			for _, target := range r.Undoes {
				if f.commands[target] == nil && f.consumers[target] == nil {
					errs = append(errs, fmt.Errorf("%s undoes %q, which is no command or consumer of this flow", name, target))
				}
				if !slices.Contains(f.undoneBy[target], name) {
					f.undoneBy[target] = append(f.undoneBy[target], name)
				}
			}
		}
	}
	for _, t := range slices.Sorted(maps.Keys(f.domain)) {
		if f.foreign[t] || f.requests[t] {
			errs = append(errs, fmt.Errorf("%s is a domain fact, which never travels: it is no request and nobody else's", t))
		}
	}
	f.record()
	for _, name := range f.commandOrder {
		for _, target := range f.commands[name].CancelsNames {
			if f.commands[target] == nil && f.consumers[target] == nil {
				errs = append(errs, fmt.Errorf("%s cancels %q, which is no command or consumer of this flow", name, target))
			}
		}
	}
	errs = append(errs, f.callers()...)
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("the flow does not hold together: %w", err)
	}
	return f, nil
}

// Consumers are the consumers in the order of the flow.
func (f *Flow) Consumers() []*Consumer {
	all := make([]*Consumer, len(f.order))
	for i, name := range f.order {
		all[i] = f.consumers[name]
	}
	return all
}

// Consumer is the consumer of that name, nil if there is none.
func (f *Flow) Consumer(name string) *Consumer { return f.consumers[name] }

// Command is the command of that name, nil if there is none.
func (f *Flow) Command(name string) *CommandLine { return f.commands[name] }

// Commands are the commands in the order of the flow.
func (f *Flow) Commands() []*CommandLine {
	all := make([]*CommandLine, len(f.commandOrder))
	for i, name := range f.commandOrder {
		all[i] = f.commands[name]
	}
	return all
}

// CommandOf is the command that emits the fact type, empty if there is none.
func (f *Flow) CommandOf(factType string) string {
	for _, name := range slices.Sorted(maps.Keys(f.commands)) {
		if slices.Contains(f.commands[name].EmitsTypes, factType) {
			return name
		}
	}
	return ""
}

// Final is what the fact type means for its saga; ok is false where nothing is
// said.
func (f *Flow) Final(factType string) (o Outcome, ok bool) {
	o, ok = f.finals[f.Current(factType)]
	return o, ok
}

// Knows tells whether any line names the fact type, or a newer version that
// reads it.
func (f *Flow) Knows(factType string) bool { return f.facts[f.Current(factType)] != nil }

// Handles tells whether any consumer reacts to the fact type.
func (f *Flow) Handles(factType string) bool {
	return slices.ContainsFunc(f.order, func(name string) bool { return f.consumers[name].Rule(factType) != nil })
}

// Facts are zero facts of every type the flow names, sorted by type, without
// the domain facts.
func (f *Flow) Facts() []Fact {
	var all []Fact
	for t, fact := range f.facts {
		if !f.domain[t] {
			all = append(all, fact)
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].FactType() < all[j].FactType() })
	return all
}

// Topics are the topics of all facts, sorted.
func (f *Flow) Topics() []string {
	var all []string
	for _, fact := range f.Facts() {
		if t := Topic(fact.FactType()); !slices.Contains(all, t) {
			all = append(all, t)
		}
	}
	return all
}

// IsDomain tells whether facts of the type stay inside their transaction.
func (f *Flow) IsDomain(factType string) bool { return f.domain[factType] }

// IsForeign tells whether facts of the type come from outside: nobody in the
// flow need emit them.
func (f *Flow) IsForeign(factType string) bool { return f.foreign[factType] }

// IsRequest tells whether the type is a command that travels on a topic.
func (f *Flow) IsRequest(factType string) bool { return f.requests[factType] }

// UndoneBy are the consumers that undo the command or consumer of that name.
func (f *Flow) UndoneBy(name string) []string { return f.undoneBy[name] }

func (f *Flow) know(facts ...Fact) (types []string) {
	for _, fact := range facts {
		f.facts[fact.FactType()] = fact
		name, version := Version(fact.FactType())
		if known := f.newest[name]; known == nil || newer(known, version) {
			f.newest[name] = fact
		}
		types = append(types, fact.FactType())
	}
	return types
}

// Consumer is one name: a consumer group on Kafka, with its reactions.
type Consumer struct {
	Name  string
	rules []*Rule
	view  *ViewLine // nil unless it is the projection of a view
	next  bool      // it fills the tables of a view that is rebuilt
}

// Rules are its reactions, one per fact type.
func (c *Consumer) Rules() []*Rule { return c.rules }

// Rule is its reaction to the fact type, or to the newer version that reads
// facts of that type; nil if it has none.
func (c *Consumer) Rule(factType string) *Rule {
	for _, r := range c.rules {
		if r.On == factType {
			return r
		}
	}
	name, version := Version(factType)
	for _, r := range c.rules {
		if on, _ := Version(r.On); on == name && r.fact != nil && Upcasts(r.fact, version) {
			return r
		}
	}
	return nil
}

// Topics are the topics it follows, sorted.
func (c *Consumer) Topics() []string {
	topics := []string{} // not nil: it is stored
	for _, r := range c.rules {
		if t := Topic(r.On); !r.Domain && !slices.Contains(topics, t) {
			topics = append(topics, t)
		}
	}
	slices.Sort(topics)
	return topics
}

// Local tells whether it is fed from the log instead of Kafka.
func (c *Consumer) Local() bool { return c.rules[0].Local }

// Parallel tells whether batches of its partitions run side by side.
func (c *Consumer) Parallel() bool { return c.rules[0].Parallel }

// Rule is a reaction with its types erased: what the engine's packages run.
type Rule struct {
	Consumer      string
	On            string // fact type
	Emits         []string
	FailsWith     []string
	Undoes        []string
	Irreversible  string // the reason, empty where it can be undone
	Keeps         string // the reason, empty where leaving it harms
	Within        time.Duration
	After         time.Duration
	GiveUpAfter   time.Duration // 0: never
	InTransaction bool
	Local         bool
	Parallel      bool
	View          bool // a read model's projection
	Excepts       []Exception
	Joins         bool
	Calls         string   // a provider's name, empty where the flow does not say
	OwnLine       bool     // its line is not its fact's key
	Recorded      bool     // its step is kept when it is done: it may be undone, or have to undo again
	From          Position // empty: as Register decides
	Domain        bool     // the fact is a domain fact
	Retry         RetryPolicy

	fact    Fact                            // a zero one
	Decode  func(Meta, []byte) (any, error) // upcasts older versions
	Line    func(event any) string          // orders steps; the fact's key by default
	FactKey func(event any) string          // by which steps are undone
	React   func(context.Context, *Tx, any) error

	ReactBatch func(context.Context, *Tx, []any) error // nil unless made by OnBatch

	Effect *EffectRule // nil for a plain reaction
	GiveUp func(context.Context, *Tx, any, error) (Fact, error)
}

// EffectRule is an Effect with its types erased. Results are JSON.
type EffectRule struct {
	Load   func(ctx context.Context, tx *Tx, event any) (input any, err error)
	Call   func(ctx context.Context, key string, event, input any) (result any, err error)
	Record func(ctx context.Context, tx *Tx, event, result any) error
	Ask    func(ctx context.Context, key string, event any) (result any, happened bool, err error) // nil: cannot ask
}

// RetryPolicy says how a step is tried again: after Base, then Factor times as
// long each time up to Most, with a fifth of jitter. A plain reaction is parked
// after Tries.
type RetryPolicy struct {
	Base   time.Duration
	Factor float64
	Most   time.Duration
	Tries  int
}
