package handlers_test

import (
	"bytes"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"troupe/choreo"
)

const engine = "../choreo"

// The engine imports nothing of ours, in its tests neither.
func TestTheEngineImportsNothingOfOurs(t *testing.T) {
	list := exec.Command("go", "list", "-deps", "-test", "-f", "{{.ImportPath}}", "./...")
	list.Dir = engine
	var stderr bytes.Buffer
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	found := 0
	for line := range strings.Lines(string(out)) {
		path, _, _ := strings.Cut(strings.TrimSpace(line), " ") // a package built for a test says so behind its path
		if !strings.HasPrefix(path, "troupe/") {
			continue
		}
		if found++; !strings.HasPrefix(path, "troupe/choreo") {
			t.Errorf("the engine imports %s", path)
		}
	}
	if found < 10 {
		t.Errorf("only %d packages of the engine were seen", found)
	}
}

// The engine's source has no event, consumer, command or topic of ours, as a name
// or in a text; what its comments say is for people.
func TestTheEngineKnowsNoNameOfOurs(t *testing.T) {
	f := flow(t)
	var ours []string
	for _, fact := range f.Facts() {
		ours = append(ours, reflect.TypeOf(fact).Name(), regexp.QuoteMeta(choreo.Topic(fact.FactType()))+`\.[A-Z]\w*`)
	}
	for _, c := range f.Consumers() {
		ours = append(ours, c.Name)
	}
	for _, c := range f.Commands() {
		ours = append(ours, c.Name)
	}
	name := regexp.MustCompile(`(?:^|[^\w-])(` + strings.Join(ours, "|") + `)(?:[^\w-]|$)`)
	if !name.MatchString(`"posts.PostCreated.v1"`) || !name.MatchString("RefundFailed") || !name.MatchString(`'create-tags'`) {
		t.Fatal("it would not be seen")
	}
	files := 0
	err := filepath.WalkDir(engine, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" && filepath.Ext(path) != ".sql" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files++
		body, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if filepath.Ext(path) == ".sql" {
			if m := name.Find(body); m != nil {
				t.Errorf("%s has %s", path, m)
			}
			return nil
		}
		set := token.NewFileSet()
		var s scanner.Scanner
		s.Init(set.AddFile(path, -1, len(body)), body, nil, 0)
		for pos, tok, text := s.Scan(); tok != token.EOF; pos, tok, text = s.Scan() {
			if (tok == token.IDENT || tok == token.STRING) && name.MatchString(text) {
				t.Errorf("%s has %s", set.Position(pos), text)
			}
		}
		return nil
	})
	if err != nil || files < 60 {
		t.Errorf("%d files of the engine were read, %v", files, err)
	}
}
