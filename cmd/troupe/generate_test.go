package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"troupe/choreo"
)

const repository = "../.."

func TestGeneratedFilesAreWhatTheFlowSays(t *testing.T) {
	if out, err := flowRun(t, "generate", "--check", "--dir", repository); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// A copy of what is generated, with one change at a time: --check names it.
func TestEveryHandEditIsNoticed(t *testing.T) {
	flow := ourFlow(t)
	files, err := generated(flow, repository)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := writeGenerated(dir, files); err != nil {
		t.Fatal(err)
	}
	if out, err := flowRun(t, "generate", "--check", "--dir", dir); err != nil {
		t.Fatalf("an unchanged copy: %v\n%s", err, out)
	}
	compare := func() (string, error) {
		wrong, err := compareGenerated(dir, flow, files)
		return strings.Join(wrong, "\n"), err
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		at := filepath.Join(dir, path)
		edited := append(slices.Clone(files[path]), '#')
		if begin := bytes.Index(files[path], []byte("consumers: begin")); begin > 0 {
			line := begin + bytes.IndexByte(files[path][begin:], '\n') + 1
			edited = slices.Insert(slices.Clone(files[path]), line, []byte("# by hand\n")...)
		}
		for change, body := range map[string][]byte{"edited": edited, "removed": nil} {
			if err := os.Remove(at); err != nil {
				t.Fatal(err)
			}
			whole := strings.HasSuffix(path, "README.md") || strings.HasSuffix(path, "compose.yml")
			if body == nil && whole {
				body = edited // written by hand but for a part: it is always there
			}
			if body != nil {
				write(t, at, body)
			}
			if out, err := compare(); err != nil || !strings.Contains(out, path) {
				t.Errorf("%s was %s, and nothing is said: %v\n%s", path, change, err, out)
			}
			write(t, at, files[path])
		}
	}
	for _, path := range []string{"schemas/orders.Gone.v1.json", "deploy/kubernetes/more.yaml"} {
		write(t, filepath.Join(dir, path), []byte("{}"))
		if out, err := compare(); err != nil || !strings.Contains(out, path) {
			t.Errorf("%s follows from nothing, and nothing is said: %v\n%s", path, err, out)
		}
		if err := os.Remove(filepath.Join(dir, path)); err != nil {
			t.Fatal(err)
		}
	}
}

func write(t *testing.T, path string, body []byte) {
	t.Helper()
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
}

func ourFlow(t *testing.T) *choreo.Flow {
	t.Helper()
	f, err := theFlow()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Whatever changes in a line of the flow, some generated file is another.
func TestEveryChangeOfTheFlowIsNoticed(t *testing.T) {
	before := everything(t, ourFlow(t))
	changes := map[string]func(*choreo.Rule){
		"Emits":         func(r *choreo.Rule) { r.Emits = append(slices.Clone(r.Emits), "posts.PostDeleted.v1") },
		"FailsWith":     func(r *choreo.Rule) { r.FailsWith = append(slices.Clone(r.FailsWith), "posts.PostDeleted.v1") },
		"Undoes":        func(r *choreo.Rule) { r.Undoes = append(slices.Clone(r.Undoes), "sign-up") },
		"Irreversible":  func(r *choreo.Rule) { r.Irreversible += "!" },
		"Keeps":         func(r *choreo.Rule) { r.Keeps += "!"; r.Irreversible = "" },
		"Within":        func(r *choreo.Rule) { r.Within += time.Second; r.InTransaction = false },
		"After":         func(r *choreo.Rule) { r.After += time.Second; r.InTransaction = false },
		"GivesUp":       func(r *choreo.Rule) { r.GiveUpAfter += time.Second },
		"InTransaction": func(r *choreo.Rule) { r.InTransaction = !r.InTransaction },
		"Local":         func(r *choreo.Rule) { r.Local = !r.Local },
		"Parallel":      func(r *choreo.Rule) { r.Parallel = !r.Parallel },
		"Joins":         func(r *choreo.Rule) { r.Joins = !r.Joins },
		"View":          func(r *choreo.Rule) { r.View = !r.View },
		"Calls":         func(r *choreo.Rule) { r.Calls += "!" },
		"From":          func(r *choreo.Rule) { r.From += "!" },
		"Except":        func(r *choreo.Rule) { r.Excepts = append(r.Excepts, choreo.Exception{Rule: 2, Reason: "why"}) },
		"effect":        func(r *choreo.Rule) { r.Effect = map[bool]*choreo.EffectRule{true: {}}[r.Effect == nil] },
		"On":            func(r *choreo.Rule) { r.On = "posts.PostDeleted.v1" },
	}
	consumers := ourFlow(t).Consumers()
	for name, change := range changes {
		for _, c := range []*choreo.Consumer{consumers[0], consumers[len(consumers)/2], consumers[len(consumers)-1]} {
			flow := ourFlow(t)
			change(flow.Consumer(c.Name).Rules()[0])
			if everything(t, flow) == before && c.Rules()[0].On != "posts.PostDeleted.v1" {
				t.Errorf("%s of %s changed, and no generated file did", name, c.Name)
			}
		}
	}
	for name, change := range map[string]func(*choreo.CommandLine){
		"Emits":   func(c *choreo.CommandLine) { c.EmitsTypes = append(slices.Clone(c.EmitsTypes), "posts.PostDeleted.v1") },
		"Cancels": func(c *choreo.CommandLine) { c.CancelsNames = append(slices.Clone(c.CancelsNames), "sign-up") },
		"Keeps":   func(c *choreo.CommandLine) { c.KeepsReason += "!" },
		"Except":  func(c *choreo.CommandLine) { c.Excepts = append(c.Excepts, choreo.Exception{Rule: 2, Reason: "why"}) },
	} {
		flow := ourFlow(t)
		change(flow.Commands()[0])
		if everything(t, flow) == before {
			t.Errorf("%s of a command changed, and no generated file did", name)
		}
	}
}

// everything is what is generated, in one text.
func everything(t *testing.T, flow *choreo.Flow) string {
	t.Helper()
	files, err := generated(flow, repository)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, path := range slices.Sorted(maps.Keys(files)) {
		b.WriteString(path + "\n" + string(files[path]))
	}
	return b.String()
}
