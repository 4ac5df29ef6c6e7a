package schemas_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"troupe/choreo"
	"troupe/handlers"
)

// Every version of every fact that was ever shipped has a golden record; it is
// as its schema says, the flow of today reads it as the newest version, and what
// is of the newest loses nothing on the way.
func TestEveryVersionEverShippedIsRead(t *testing.T) {
	flow, err := handlers.Flow(handlers.Outside{})
	if err != nil {
		t.Fatal(err)
	}
	versions, err := filepath.Glob("*.json")
	if err != nil || len(versions) == 0 {
		t.Fatal("no schemas", err)
	}
	older := 0
	for _, file := range versions {
		factType := strings.TrimSuffix(file, ".json")
		golden, err := os.ReadFile(filepath.Join("golden", file))
		if err != nil {
			t.Errorf("%s has no golden record (make generate writes that of a new fact): %v", factType, err)
			continue
		}
		if err := valid(t, file, golden); err != nil {
			t.Errorf("the golden record of %s is not as its schema says: %v", factType, err)
		}
		fact, err := flow.Read(factType, golden)
		if err != nil {
			t.Errorf("the golden record of %s is not read: %v", factType, err)
			continue
		}
		if newest := fact.FactType(); newest != factType {
			older++
			if name, _ := choreo.Version(factType); !strings.HasPrefix(newest, name+".v") {
				t.Errorf("%s is read as %s", factType, newest)
			}
			continue
		}
		written, err := json.Marshal(fact)
		if err != nil || !same(written, golden) {
			t.Errorf("%s is not what its golden record says (not shipped yet? remove the record, and make generate): %s (%v)", factType, written, err)
		}
	}
	goldens, err := filepath.Glob("golden/*.json")
	if err != nil || len(goldens) != len(versions) {
		t.Errorf("%d golden records of %d versions (%v)", len(goldens), len(versions), err)
	}
	t.Logf("%d golden records, %d of older versions", len(goldens), older)
	if older == 0 {
		t.Error("no older version is read")
	}
}

func valid(t *testing.T, schema string, data []byte) error {
	t.Helper()
	body, err := os.ReadFile(schema)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("http://localhost/schemas/"+schema, doc); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("http://localhost/schemas/" + schema)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return err
	}
	return compiled.Validate(value)
}

func same(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}
