package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func diffRun(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd, err := schemasCommand()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(append([]string{"diff"}, args...))
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err = cmd.Execute()
	return out.String(), err
}

// released is a repository with our schemas, one release of them, and the tree
// as it was released.
func released(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	files, err := filepath.Glob(filepath.Join(repository, "schemas", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatal("no schemas", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "schemas"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "schemas", filepath.Base(file)), body)
	}
	gitRun(t, dir, "init", "-q")
	commit(t, dir)
	gitRun(t, dir, "tag", "v1.0.0")
	return dir
}

func gitRun(t *testing.T, dir string, args ...string) {
	t.Helper()
	if _, err := git(dir, append([]string{"-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"}, args...)...); err != nil {
		t.Fatal(err)
	}
}

func commit(t *testing.T, dir string) {
	t.Helper()
	gitRun(t, dir, "add", "-A")
	gitRun(t, dir, "commit", "-q", "--allow-empty", "-m", "x")
}

// edit replaces in the schema of OrderShipped.
func edit(t *testing.T, dir, old, with string) {
	t.Helper()
	path := filepath.Join(dir, "schemas", "orders.OrderShipped.v1.json")
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Replace(body, []byte(old), []byte(with), 1)
	if bytes.Equal(changed, body) {
		t.Fatalf("it has no %q", old)
	}
	write(t, path, changed)
}

const added = "\"properties\": {\n    \"more\": { \"type\": \"string\" },"

func TestOurVersionsReadEachOther(t *testing.T) {
	out, err := diffRun(t, "--dir", repository)
	if err != nil || !strings.Contains(out, " 0 breaking") {
		t.Errorf("%v\n%s", err, out)
	}
	if !strings.Contains(out, "breaking, a new version that reads the old one") {
		t.Errorf("the second version of AttachmentUploaded is not told of:\n%s", out)
	}
}

func TestBreakingChangesAreToldFromCompatibleOnes(t *testing.T) {
	dir := released(t)
	if out, err := diffRun(t, "--dir", dir); err != nil || !strings.Contains(out, "compared with v1.0.0") {
		t.Errorf("an unchanged tree: %v\n%s", err, out)
	}
	edit(t, dir, `"properties": {`, added)
	if out, err := diffRun(t, "--dir", dir); err != nil || !strings.Contains(out, "an optional field is new") {
		t.Errorf("an optional field: %v\n%s", err, out)
	}
	edit(t, dir, `"required": [`, `"required": ["more",`)
	out, err := diffRun(t, "--dir", dir)
	if err == nil || !strings.Contains(out, "BREAKING, backward") {
		t.Errorf("a required field: %v\n%s", err, out)
	}
	if out, err := diffRun(t, "--dir", dir, "-o", "json"); err == nil || !json.Valid([]byte(out)) || !strings.Contains(out, `"breaksBackward": true`) {
		t.Errorf("-o json: %v\n%s", err, out)
	}
	if _, err := diffRun(t, "--dir", dir, "no-such-revision"); err == nil {
		t.Error("an unknown revision is taken")
	} else if _, usage := errors.AsType[usageError](err); !usage {
		t.Errorf("an unknown revision is no usage error: %v", err)
	}
}

func TestAVersionThatIsGoneIsBreaking(t *testing.T) {
	dir := released(t)
	if err := os.Remove(filepath.Join(dir, "schemas", "attachments.AttachmentUploaded.v1.json")); err != nil {
		t.Fatal(err)
	}
	if out, err := diffRun(t, "--dir", dir); err == nil || !strings.Contains(out, "the version is gone") {
		t.Errorf("%v\n%s", err, out)
	}
}

// A field that came as text, went, and comes again as a number is compatible
// with the last release, and breaks readers of the one before.
func TestAllReleasesAreCompared(t *testing.T) {
	dir := released(t)
	edit(t, dir, `"properties": {`, added)
	commit(t, dir)
	gitRun(t, dir, "tag", "v1.1.0")
	edit(t, dir, added, `"properties": {`)
	commit(t, dir)
	gitRun(t, dir, "tag", "v1.2.0")
	edit(t, dir, `"properties": {`, strings.Replace(added, "string", "integer", 1))
	out, err := diffRun(t, "--dir", dir)
	if err == nil || !strings.Contains(out, "v1.1.0") || !strings.Contains(out, "BREAKING") {
		t.Errorf("%v\n%s", err, out)
	}
}
