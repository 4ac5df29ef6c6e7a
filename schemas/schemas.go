// Package schemas holds the JSON Schema of every fact, as `troupe flow generate`
// writes it from the structs in events/. The files are checked in and diffed;
// nobody edits them by hand.
package schemas

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"reflect"
	"strings"

	"github.com/invopop/jsonschema"

	"troupe/choreo"
)

//go:embed *.json
var files embed.FS

// Has tells whether there is a schema of the fact type.
func Has(factType string) bool {
	_, err := files.Open(factType + ".json")
	return err == nil
}

// Versions are the versions of a fact that have a schema, in no order. The name
// is a fact type without its version.
func Versions(name string) (all []int) {
	found, err := fs.Glob(files, name+".v*.json")
	if err != nil {
		return nil
	}
	for _, file := range found {
		if of, v := choreo.Version(strings.TrimSuffix(file, ".json")); of == name {
			all = append(all, v)
		}
	}
	return all
}

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
	made := map[string][]byte{}
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
		made[fact.FactType()+".json"] = b.Bytes()
	}
	return made, nil
}
