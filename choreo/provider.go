package choreo

import (
	"fmt"
	"slices"
)

type providerLine struct {
	name   string
	atOnce int
}

// Provider names something outside that effects call, and bounds the calls that
// a process has under way to it. Where it stops answering, what calls it waits:
// nothing is tried but by one step now and then, and that time counts for no
// step that is to give up.
func Provider(name string, atOnce int) Line { return providerLine{name, atOnce} }

func (l providerLine) addTo(f *Flow) error {
	if f.providers[l.name] != 0 {
		return fmt.Errorf("the provider %q is named twice", l.name)
	}
	if l.name == "" || l.atOnce < 1 {
		return fmt.Errorf("the provider %q takes %d calls at once: name it, and let it take one at least", l.name, l.atOnce)
	}
	f.providers[l.name] = l.atOnce
	return nil
}

// callers checks that each consumer calls one provider, of those that are named.
func (f *Flow) callers() (errs []error) {
	for _, name := range f.order {
		rules := f.consumers[name].rules
		for _, r := range rules {
			switch {
			case r.Calls != rules[0].Calls:
				errs = append(errs, fmt.Errorf("%s calls %q on one line and %q on another", name, rules[0].Calls, r.Calls))
			case r.Calls != "" && f.providers[r.Calls] == 0:
				errs = append(errs, fmt.Errorf("%s calls %q, which is no provider of this flow", name, r.Calls))
			case r.Calls != "" && r.Effect == nil:
				errs = append(errs, fmt.Errorf("%s calls %q and is no effect", name, r.Calls))
			}
		}
	}
	return errs
}

// Provider is what a consumer's effects call, and how many calls a process has
// under way to it at most; the name is empty where the flow does not say.
func (f *Flow) Provider(c *Consumer) (name string, atOnce int) {
	name = c.rules[0].Calls
	return name, f.providers[name]
}

// Asks tells whether the name is of an effect that can be asked what came of it.
func (f *Flow) Asks(name string) bool {
	c := f.consumers[name]
	return c != nil && slices.ContainsFunc(c.rules, func(r *Rule) bool { return r.Effect != nil && r.Effect.Ask != nil })
}
