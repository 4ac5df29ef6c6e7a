package api_test

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"troupe/api"
)

func TestTheDescriptionIsThatOfTheAPI(t *testing.T) {
	t.Parallel()
	want, err := api.Describe()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../schemas/openapi.yaml")
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("schemas/openapi.yaml is not what the API says (%v): run `make generate`", err)
	}
	if !strings.Contains(string(want), "openapi: 3.1.0") || !strings.Contains(string(want), "Idempotency-Key") {
		t.Errorf("the description is %.300s…", want)
	}
}

func TestTheDescriptionIsServed(t *testing.T) {
	t.Parallel()
	r := start(t)
	var spec struct {
		OpenAPI string
		Paths   map[string]map[string]struct{ OperationID string }
	}
	r.do("GET", "/openapi.json", "", nil).is(200).into(&spec)
	if spec.OpenAPI != "3.1.0" || spec.Paths["/accounts"]["post"].OperationID != "sign-up" {
		t.Errorf("the description: %+v", spec)
	}
	if got := r.do("GET", "/openapi.yaml", "", nil).is(200); !strings.HasPrefix(string(got.body), "components:") {
		t.Errorf("in YAML: %.100s…", got.body)
	}
}

// The page takes nothing from elsewhere, and its policy would not let it.
func TestThePageOfTheAPIWorksOffline(t *testing.T) {
	t.Parallel()
	r := start(t)
	page := r.do("GET", "/docs", "", nil).is(200)
	if csp := page.header.Get("Content-Security-Policy"); !strings.Contains(csp, "script-src 'self'") || strings.Contains(csp, "unsafe") {
		t.Errorf("policy: %s", csp)
	}
	refs := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(string(page.body), -1)
	if len(refs) < 4 {
		t.Errorf("the page refers to %v", refs)
	}
	for _, ref := range refs {
		got := r.do("GET", ref[1], "", nil).is(200)
		kind := map[string]string{"js": "text/javascript", "css": "text/css", "json": "application/openapi+json", "yaml": "application/openapi+yaml"}[ref[1][strings.LastIndexByte(ref[1], '.')+1:]]
		if !strings.HasPrefix(got.header.Get("Content-Type"), kind) || got.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", ref[1], got.header)
		}
		if strings.Contains(string(got.body), "https://") && strings.HasPrefix(ref[1], "/docs") {
			t.Errorf("%s refers to elsewhere", ref[1])
		}
	}
	var problem map[string]any
	if err := json.Unmarshal(r.do("POST", "/docs", "", nil).is(405).body, &problem); err != nil {
		t.Error(err)
	}
}
