package schemas_test

import (
	"strings"
	"testing"

	"troupe/schemas"
)

func TestCompareTellsCompatibleFromBreaking(t *testing.T) {
	const before = `{"type":"object","properties":{"id":{"type":"string"},"note":{"type":"string"},"size":{"type":"integer"},
		"by":{"type":"string","enum":["buyer","payment"]},"lines":{"type":"array","items":{"type":"object","properties":{"sku":{"type":"string"}},"required":["sku"]}}},
		"required":["id","size","by","lines"]}`
	for name, c := range map[string]struct {
		old, new          string // replaced in before
		path              string // of the one change
		backward, forward bool
	}{
		"an optional field comes":        {`"note":`, `"hint":{"type":"string"},"note":`, "hint", false, false},
		"an optional field goes":         {`"note":{"type":"string"},`, ``, "note", false, false},
		"a required field goes":          {`"size":{"type":"integer"},`, ``, "size", false, true},
		"a field becomes required":       {`"required":["id",`, `"required":["id","note",`, "note", true, false},
		"a field becomes optional":       {`["id","size"`, `["id"`, "size", false, true},
		"a number where an integer was":  {`"size":{"type":"integer"}`, `"size":{"type":"number"}`, "size", false, true},
		"a field may be null":            {`"note":{"type":"string"}`, `"note":{"oneOf":[{"type":"string"},{"type":"null"}]}`, "note", false, true},
		"a value more":                   {`["buyer","payment"]`, `["buyer","payment","staff"]`, "by", false, true},
		"a value less":                   {`["buyer","payment"]`, `["buyer"]`, "by", true, false},
		"any value":                      {`,"enum":["buyer","payment"]`, ``, "by", false, true},
		"another format":                 {`"note":{"type":"string"}`, `"note":{"type":"string","format":"date-time"}`, "note", true, true},
		"deep in a list, a field less":   {`"properties":{"sku":{"type":"string"}},"required":["sku"]`, `"properties":{}`, "lines[].sku", false, true},
		"deep in a list, a field needed": {`{"sku":{"type":"string"}},"required":["sku"]`, `{"sku":{"type":"string"},"n":{"type":"integer"}},"required":["sku","n"]`, "lines[].n", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			after := strings.Replace(before, c.old, c.new, 1)
			if after == before {
				t.Fatal("nothing was replaced")
			}
			got, err := schemas.Compare([]byte(before), []byte(after))
			if err != nil || len(got) != 1 || got[0].Path != c.path || got[0].Backward != c.backward || got[0].Forward != c.forward {
				t.Errorf("%v %+v", err, got)
			}
		})
	}
	if got, err := schemas.Compare([]byte(before), []byte(strings.Replace(before, `"type":"object"`, `"title":"x","type":"object"`, 1))); err != nil || len(got) > 0 {
		t.Errorf("a title is a change: %v %+v", err, got)
	}
	if got, err := schemas.Compare([]byte(before), []byte(strings.Replace(before, `"size":{"type":"integer"}`, `"size":{"type":"string"}`, 1))); err != nil || len(got) != 2 {
		t.Errorf("another type breaks both ways: %v %+v", err, got)
	}
}
