// Package schemas holds the JSON Schema of every fact, as `troupe flow generate`
// writes it from the structs in events/. The files are checked in and diffed;
// nobody edits them by hand.
package schemas

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/invopop/jsonschema"

	"troupe/choreo"
)

// Of makes the schemas of facts, by file name: the fact type with .json. Fields
// that are not in a schema are allowed, since readers ignore what they do not
// know.
func Of(facts []choreo.Fact) (map[string][]byte, error) {
	r := &jsonschema.Reflector{Anonymous: true, AllowAdditionalProperties: true, DoNotReference: true,
		Mapper: func(t reflect.Type) *jsonschema.Schema {
			if t == reflect.TypeFor[json.RawMessage]() {
				return &jsonschema.Schema{Type: "object"}
			}
			return nil
		}}
	files := map[string][]byte{}
	for _, fact := range facts {
		s := r.Reflect(fact)
		s.ID = jsonschema.ID("/schemas/" + fact.FactType() + ".json")
		s.Title = fact.FactType()
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetIndent("", "  ")
		if err := e.Encode(s); err != nil {
			return nil, fmt.Errorf("writing the schema of %s: %w", fact.FactType(), err)
		}
		files[fact.FactType()+".json"] = b.Bytes()
	}
	return files, nil
}
