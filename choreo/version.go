package choreo

import (
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
