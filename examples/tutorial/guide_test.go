package tutorial_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"troupe/choreo/check"
	"troupe/examples/tutorial"
)

const guide = "../../docs/tutorial.md"

// blocks are the code blocks of the guide in one language.
func blocks(t *testing.T, language string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllSubmatch(text, -1) {
		all = append(all, string(m[1]))
	}
	return all
}

// The guide shows nothing but pieces of these files, and they compile and run.
func TestTheGuideShowsTheseFiles(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		code.Write(text)
	}
	shown := blocks(t, "go")
	if len(shown) < 8 {
		t.Errorf("%s has %d blocks of Go, which is too few for what it tells", guide, len(shown))
	}
	for _, block := range shown {
		if !strings.Contains(code.String(), block) {
			t.Errorf("%s shows what is no piece of these files:\n%s", guide, block)
		}
	}
}

// The guide has its reader take an undo out of the flow, and says what the
// checker says then.
func TestTheGuideShowsWhatTheCheckerFinds(t *testing.T) {
	flow, err := tutorial.Flow(make(box, 1))
	if err != nil {
		t.Fatal(err)
	}
	flow.Consumer("release-seat").Rules()[0].Undoes = nil
	found := check.Flow(flow, check.Options{}).Findings
	if len(found) == 0 {
		t.Fatal("nothing is found")
	}
	said := strings.Join(blocks(t, "text"), "\n")
	for _, f := range found {
		for line := range strings.Lines(f.String()) {
			if !strings.Contains(said, strings.TrimSpace(line)) {
				t.Errorf("%s does not say: %s", guide, line)
			}
		}
	}
}
