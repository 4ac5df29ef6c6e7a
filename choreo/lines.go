package choreo

import "fmt"

// CommandLine is a command in the flow.
type CommandLine struct {
	Name         string
	EmitsTypes   []string
	CancelsNames []string
	KeepsReason  string // why what it did harms nobody when left, empty where it does
	Excepts      []Exception
	emits        []Fact
}

// Exception says why a rule of the static checker does not hold for a line.
type Exception struct {
	Rule   int // 1 to 5
	Reason string
}

// Command names a command, to be given the facts it emits. Its name is that of
// Commit.
func Command(name string) *CommandLine { return &CommandLine{Name: name} }

// Emits says which facts the command may emit.
func (c *CommandLine) Emits(facts ...Fact) *CommandLine {
	c.emits = append(c.emits, facts...)
	return c
}

// Cancels says that the command starts the undoing of these commands and
// consumers of its saga, and itself takes back what is its own aggregate's.
func (c *CommandLine) Cancels(names ...string) *CommandLine {
	c.CancelsNames = append(c.CancelsNames, names...)
	return c
}

// Keeps says why what the command did harms nobody when it is left, where a
// step of its saga fails.
func (c *CommandLine) Keeps(reason string) *CommandLine { c.KeepsReason = reason; return c }

// Except says why a rule of the static checker (1 to 5, see choreo/check) does
// not hold for the command.
func (c *CommandLine) Except(rule int, reason string) *CommandLine {
	c.Excepts = append(c.Excepts, Exception{Rule: rule, Reason: reason})
	return c
}

func (c *CommandLine) addTo(f *Flow) error {
	if f.commands[c.Name] != nil || f.consumers[c.Name] != nil {
		return fmt.Errorf("the name %q is used twice", c.Name)
	}
	c.EmitsTypes = f.know(c.emits...)
	f.commands[c.Name] = c
	f.commandOrder = append(f.commandOrder, c.Name)
	return nil
}

type finalLine struct {
	fact    Fact
	outcome Outcome
}

// Final says what a fact means for its saga, handled or not.
func Final(f Fact, o Outcome) Line { return finalLine{f, o} }

func (l finalLine) addTo(f *Flow) error {
	f.know(l.fact)
	f.finals[l.fact.FactType()] = l.outcome
	return nil
}

type domainLine struct{ fact Fact }

// Domain says that a fact is handled inside its own transaction, and stored
// and published nowhere.
func Domain(f Fact) Line { return domainLine{f} }

func (l domainLine) addTo(f *Flow) error {
	f.know(l.fact)
	f.domain[l.fact.FactType()] = true
	for _, c := range f.consumers {
		if r := c.Rule(l.fact.FactType()); r != nil {
			return fmt.Errorf("%s reacts to %s above the line that makes it a domain fact", c.Name, r.On)
		}
	}
	return nil
}

type foreignLine struct{ fact Fact }

// Foreign says that a fact comes from outside: another system puts it on its
// topic, which is one of ours to make and to follow. A consumer or a command may
// emit it too.
func Foreign(f Fact) Line { return foreignLine{f} }

func (l foreignLine) addTo(f *Flow) error {
	f.know(l.fact)
	f.foreign[l.fact.FactType()] = true
	return nil
}

type requestLine struct{ fact Fact }

// Request says that what travels here is a command, told in the imperative, and
// no fact: whoever reacts to it may refuse, and says by a fact what came of it.
func Request(f Fact) Line { return requestLine{f} }

func (l requestLine) addTo(f *Flow) error {
	f.know(l.fact)
	f.requests[l.fact.FactType()] = true
	return nil
}
