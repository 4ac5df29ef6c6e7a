package choreo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"troupe/choreo/pull"
)

// ViewLine is a view in the flow: tables in a schema of their own, and the
// projection that fills them from facts alone. A view emits nothing, holds no
// personal data and touches no table of the commands: its statements find the
// tables of its own schema only, and it may live in another database
// (Options.Views).
type ViewLine struct {
	Name   string
	Tables string // makes its tables, in the schema that comes first in the search path

	projections []Projection
	Pulls       pull.Handler // nil unless it pulls its events
	Types       []string     // of its facts
	pulled      []Fact
}

// View makes a view. Its projections run as a consumer of its name, in the order
// of the facts of each key; tables are statements that make its tables, without
// a schema in front of their names.
func View(name, tables string, projections ...Projection) *ViewLine {
	return &ViewLine{Name: name, Tables: tables, projections: projections}
}

// Pulled makes a view that pulls these facts over HTTP, as a reader outside would,
// instead of following topics. It hears of all in the one order of the log.
func Pulled(name, tables string, handle pull.Handler, facts ...Fact) *ViewLine {
	return &ViewLine{Name: name, Tables: tables, Pulls: handle, pulled: facts}
}

// Projection is what a view does about one type of fact.
type Projection interface {
	reaction(view string) Line
}

type projection[F Fact] struct {
	project func(context.Context, *Tx, Event[F]) error
}

// Project makes the projection of a fact. It has the rules of On, and may be
// run again from the first fact on, into other tables.
func Project[F Fact](project func(context.Context, *Tx, Event[F]) error) Projection {
	return projection[F]{project}
}

func (p projection[F]) reaction(view string) Line {
	return On(view, p.project).View()
}

func (v *ViewLine) addTo(f *Flow) error {
	if f.consumers[v.Name] != nil || f.commands[v.Name] != nil || f.View(v.Name) != nil {
		return fmt.Errorf("the name %q is used twice", v.Name)
	}
	if len(v.projections)+len(v.pulled) == 0 {
		return fmt.Errorf("the view %s projects nothing", v.Name)
	}
	v.Types = f.know(v.pulled...)
	var errs []error
	for _, p := range v.projections {
		errs = append(errs, p.reaction(v.Name).addTo(f))
	}
	if c := f.consumers[v.Name]; c != nil {
		c.view = v
		for _, r := range c.rules {
			v.Types = append(v.Types, r.On)
		}
	}
	f.views = append(f.views, v)
	return errors.Join(errs...)
}

// Topics are the topics of its facts, sorted.
func (v *ViewLine) Topics() []string {
	var topics []string
	for _, t := range v.Types {
		topics = append(topics, Topic(t))
	}
	slices.Sort(topics)
	return slices.Compact(topics)
}

// Schema is the schema of the view's tables.
func (v *ViewLine) Schema() string { return strings.ReplaceAll(v.Name, "-", "_") }

// NextSchema is the schema of the tables that a rebuild fills beside them.
func (v *ViewLine) NextSchema() string { return v.Schema() + "_next" }

// Views are the views in the order of the flow.
func (f *Flow) Views() []*ViewLine { return f.views }

// View is the view of that name, nil if there is none.
func (f *Flow) View(name string) *ViewLine {
	for _, v := range f.views {
		if v.Name == name {
			return v
		}
	}
	return nil
}

// View tells whether the consumer is the projection of a view.
func (c *Consumer) View() bool { return c.view != nil }

// Rebuild is the projection of a view as a consumer of another name, which
// fills the tables beside the live ones.
func (c *Consumer) Rebuild() *Consumer {
	next := &Consumer{Name: c.Name + "+next", view: c.view, next: true}
	for _, r := range c.rules {
		rule := *r
		rule.Consumer = next.Name
		next.rules = append(next.rules, &rule)
	}
	return next
}

// Enter has the statements of the consumer's reactions find the tables of its
// view, and no others. It does nothing for a consumer that is no view.
func (u *Unit) Enter(ctx context.Context, c *Consumer) error {
	if c.view == nil {
		return nil
	}
	schema := c.view.Schema()
	if c.next {
		schema = c.view.NextSchema()
	}
	// Shared: whoever puts other tables in their place waits for us.
	_, err := u.sql.ExecContext(ctx, `select set_config('search_path', $1, true), pg_advisory_xact_lock_shared(hashtextextended($1, 0))`, schema)
	if err != nil {
		return fmt.Errorf("entering the tables of %s: %w", c.Name, err)
	}
	return nil
}
