package choreo

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Version splits a fact type into its name and its version: orders.Placed.v2 is
// orders.Placed and 2. A type without a version has version 0.
func Version(factType string) (name string, version int) {
	dot := strings.LastIndex(factType, ".v")
	if dot < 0 {
		return factType, 0
	}
	n, err := strconv.Atoi(factType[dot+2:])
	if err != nil || n < 1 || factType[dot+2] == '0' {
		return factType, 0
	}
	return factType[:dot], n
}

// upcaster is a fact that reads its older versions: each function turns the
// JSON data of that version into the next one's.
type upcaster interface {
	Upcasts() map[int]func(data []byte) ([]byte, error)
}

// Upcasts tells whether the fact can read data of the given older version of
// itself. A fact says so by a method Upcasts() map[int]func([]byte) ([]byte,
// error), whose functions turn the JSON data of that version into the next
// one's; every version from the given one to the fact's own needs its function.
func Upcasts(f Fact, version int) bool {
	_, newest := Version(f.FactType())
	u, ok := f.(upcaster)
	if !ok || version < 1 || version >= newest {
		return false
	}
	steps := u.Upcasts()
	for v := version; v < newest; v++ {
		if steps[v] == nil {
			return false
		}
	}
	return true
}

// upcast turns data of the given type into data of the fact's own version.
func upcast(f Fact, factType string, data []byte) ([]byte, error) {
	_, from := Version(factType)
	_, newest := Version(f.FactType())
	u, ok := f.(upcaster)
	if !ok || from < 1 || from >= newest {
		return data, nil
	}
	steps := u.Upcasts()
	for v := from; v < newest; v++ {
		if steps[v] == nil {
			return nil, fmt.Errorf("%s does not read version %d of itself", f.FactType(), v)
		}
		next, err := steps[v](data)
		if err != nil {
			return nil, fmt.Errorf("reading version %d of %s as version %d: %w", v, f.FactType(), v+1, err)
		}
		data = next
	}
	return data, nil
}

// newer tells whether the version is a later one than the fact's.
func newer(f Fact, version int) bool {
	_, own := Version(f.FactType())
	return version > own
}

// Current is the type under which the flow knows facts of the given type: the
// newest version, where it is an older one that the newest reads; else the type
// itself.
func (f *Flow) Current(factType string) string {
	name, version := Version(factType)
	if newest := f.newest[name]; f.facts[factType] == nil && newest != nil && Upcasts(newest, version) {
		return newest.FactType()
	}
	return factType
}

// Types are all types of facts that the flow reads: those it names, and the
// older versions of those.
func (f *Flow) Types() (all []string) {
	for _, fact := range f.Facts() {
		all = append(all, readable(fact)...)
	}
	return all
}

// Types are all types of facts that the consumer reacts to: those of its lines,
// and the older versions of those.
func (c *Consumer) Types() (all []string) {
	for _, r := range c.rules {
		all = append(all, readable(r.fact)...)
	}
	return all
}

// readable are the types of data that the fact reads, its own first.
func readable(fact Fact) []string {
	name, newest := Version(fact.FactType())
	all := []string{fact.FactType()}
	for v := newest - 1; v > 0 && Upcasts(fact, v); v-- {
		all = append(all, fmt.Sprintf("%s.v%d", name, v))
	}
	return all
}

// Read reads data of a fact type, or of an older version of it, as the newest
// fact that the flow knows. It is an error where the flow does not know it, and
// where the fact is not whole.
func (f *Flow) Read(factType string, data []byte) (Fact, error) {
	known := f.facts[f.Current(factType)]
	if known == nil {
		return nil, fmt.Errorf("no fact of this flow is a %s", factType)
	}
	data, err := upcast(known, factType, data)
	if err != nil {
		return nil, err
	}
	into := reflect.New(reflect.TypeOf(known))
	if err := json.Unmarshal(data, into.Interface()); err != nil {
		return nil, fmt.Errorf("reading %s: %w", factType, err)
	}
	fact, ok := reflect.TypeAssert[Fact](into.Elem())
	if !ok {
		return nil, fmt.Errorf("%s is no fact", into.Elem().Type())
	}
	return fact, validate(fact)
}
