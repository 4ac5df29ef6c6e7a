package schemas

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Change is one difference between two schemas of data that readers of either
// may meet.
type Change struct {
	Path     string `json:"path"` // of the field, as in lines[].unitPrice.amount
	What     string `json:"what"`
	Backward bool   `json:"breaksBackward"` // a new reader cannot rely on old data
	Forward  bool   `json:"breaksForward"`  // an old reader cannot rely on new data
}

// Breaking tells whether the change breaks readers, in either direction.
func (c Change) Breaking() bool { return c.Backward || c.Forward }

// schema is what of a JSON Schema says which data there are. Titles and
// descriptions say nothing of that.
type schema struct {
	Type                 string             `json:"type"`
	Properties           map[string]*schema `json:"properties"`
	Required             []string           `json:"required"`
	Items                *schema            `json:"items"`
	OneOf                []*schema          `json:"oneOf"`
	Enum                 []any              `json:"enum"`
	Format               string             `json:"format"`
	AdditionalProperties any                `json:"additionalProperties"`
}

// Compare tells what changed from one schema to another, sorted by path, where
// readers ignore fields that they do not know: a field that may be missing can
// come and go, one that must be there cannot.
func Compare(before, after []byte) ([]Change, error) {
	var from, to schema
	if err := json.Unmarshal(before, &from); err != nil {
		return nil, fmt.Errorf("reading the schema as it was: %w", err)
	}
	if err := json.Unmarshal(after, &to); err != nil {
		return nil, fmt.Errorf("reading the schema as it is: %w", err)
	}
	var c comparison
	c.compare("", &from, &to)
	slices.SortStableFunc(c, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return c, nil
}

type comparison []Change

func (c *comparison) add(path, what string, backward, forward bool) {
	*c = append(*c, Change{Path: strings.TrimPrefix(path, "."), What: what, Backward: backward, Forward: forward})
}

func (c *comparison) compare(path string, from, to *schema) {
	c.types(path, from.types(), to.types())
	from, to = from.main(), to.main()
	if from.Format != to.Format {
		c.add(path, fmt.Sprintf("its format %q became %q", from.Format, to.Format), true, true)
	}
	c.enums(path, from, to)
	for _, name := range slices.Sorted(maps.Keys(union(from.Properties, to.Properties))) {
		c.property(path+"."+name, name, from, to)
	}
	if from.Items != nil && to.Items != nil {
		c.compare(path+"[]", from.Items, to.Items)
	}
	if fmt.Sprint(from.AdditionalProperties) != fmt.Sprint(to.AdditionalProperties) {
		c.add(path, "what other fields it may have changed", true, true)
	}
}

func (c *comparison) property(path, name string, from, to *schema) {
	was, is := from.Properties[name], to.Properties[name]
	had, has := slices.Contains(from.Required, name), slices.Contains(to.Required, name)
	switch {
	case was == nil && has:
		c.add(path, "a required field is new: old data lack it", true, false)
	case was == nil:
		c.add(path, "an optional field is new", false, false)
	case is == nil && had:
		c.add(path, "a required field is gone: old readers rely on it", false, true)
	case is == nil:
		c.add(path, "an optional field is gone", false, false)
	default:
		if has && !had {
			c.add(path, "it became required: old data may lack it", true, false)
		}
		if had && !has {
			c.add(path, "it became optional: old readers rely on it", false, true)
		}
		c.compare(path, was, is)
	}
}

// types compares which JSON types the data may have.
func (c *comparison) types(path string, from, to []string) {
	for _, t := range from {
		if !slices.Contains(to, t) && (t != "integer" || !slices.Contains(to, "number")) {
			c.add(path, "it is no "+t+" any more", true, false)
		}
	}
	for _, t := range to {
		if !slices.Contains(from, t) && (t != "integer" || !slices.Contains(from, "number")) {
			c.add(path, "it may be a "+t, false, true)
		}
	}
}

func (c *comparison) enums(path string, from, to *schema) {
	switch {
	case from.Enum == nil && to.Enum != nil:
		c.add(path, "only some values are left", true, false)
	case from.Enum != nil && to.Enum == nil:
		c.add(path, "it may have any value", false, true)
	}
	if from.Enum == nil || to.Enum == nil {
		return
	}
	for _, v := range from.Enum {
		if !slices.Contains(to.Enum, v) {
			c.add(path, fmt.Sprintf("the value %v is gone", v), true, false)
		}
	}
	for _, v := range to.Enum {
		if !slices.Contains(from.Enum, v) {
			c.add(path, fmt.Sprintf("the value %v is new", v), false, true)
		}
	}
}

// types are the JSON types that the data may have.
func (s *schema) types() (all []string) {
	for _, o := range s.OneOf {
		all = append(all, o.types()...)
	}
	if s.Type != "" {
		all = append(all, s.Type)
	}
	return all
}

// main is the schema itself, or of several the one that is not null.
func (s *schema) main() *schema {
	for _, o := range s.OneOf {
		if o.Type != "null" {
			return o
		}
	}
	return s
}

func union(a, b map[string]*schema) map[string]*schema {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]*schema{}
	}
	maps.Copy(all, b)
	return all
}
