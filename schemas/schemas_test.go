package schemas_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"troupe/handlers"
	"troupe/schemas"
)

func TestSchemasAreThoseOfTheFacts(t *testing.T) {
	flow, err := handlers.Flow(handlers.Outside{})
	if err != nil {
		t.Fatal(err)
	}
	want, err := schemas.Of(flow.Facts())
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range want {
		got, err := os.ReadFile(name)
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("%s is not what the facts say (%v): run `make generate`", name, err)
		}
	}
	files, err := filepath.Glob("*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if want[name] == nil {
			t.Errorf("%s is of no fact: remove it", name)
		}
	}
}
