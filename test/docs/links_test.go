// Package docs tests the pages of this repository: what they refer to is there.
package docs

import (
	"bytes"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const top = "../.."

// pages are the Markdown files of the repository, by their path from its top.
func pages(t *testing.T) map[string]string {
	t.Helper()
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md")
	list.Dir = top
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		text, err := os.ReadFile(filepath.Join(top, name))
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(text)
	}
	return all
}

var (
	fenced  = regexp.MustCompile("(?s)\n```.*?\n```")
	link    = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	dropped = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	runbook = regexp.MustCompile(`runbook: (\S+)`)
)

// anchors are what the headings of a page can be reached by.
func anchors(text string) map[string]bool {
	all := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		slug := dropped.ReplaceAllString(strings.ToLower(m[1]), "")
		all[strings.ReplaceAll(slug, " ", "-")] = true
	}
	return all
}

// dangles says what is wrong with a link on a page, nothing where it holds.
func dangles(all map[string]string, page, to string) string {
	u, err := url.Parse(to)
	if err != nil {
		return err.Error()
	}
	if u.Scheme != "" {
		return "" // somebody else's
	}
	target := page
	if u.Path != "" {
		target = filepath.Join(filepath.Dir(page), u.Path)
		if _, err := os.Stat(filepath.Join(top, target)); err != nil {
			return "there is no " + target
		}
	}
	if text, ours := all[target]; u.Fragment != "" && ours && !anchors(text)[u.Fragment] {
		return target + " has no heading #" + u.Fragment
	}
	return ""
}

func TestLinksHold(t *testing.T) {
	t.Parallel()
	all, links := pages(t), 0
	for page, text := range all {
		for _, m := range link.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
			links++
			if wrong := dangles(all, page, m[1]); wrong != "" {
				t.Errorf("%s: (%s): %s", page, m[1], wrong)
			}
		}
	}
	if links < 50 {
		t.Errorf("only %d links were found in %d pages", links, len(all))
	}
}

func TestDanglingLinksAreSeen(t *testing.T) {
	t.Parallel()
	all := map[string]string{"docs/a.md": "# One word, `for` one thing\n"}
	for to, wrong := range map[string]bool{
		"#one-word-for-one-thing": false, "../README.md": false, "https://example.com/#x": false,
		"#another": true, "nowhere.md": true, "docs/a.md": true,
	} {
		if got := dangles(all, "docs/a.md", to); (got != "") != wrong {
			t.Errorf("(%s): %q", to, got)
		}
	}
}

// Each alert says where to read on, and there is something to read.
func TestAlertsHaveTheirPages(t *testing.T) {
	t.Parallel()
	rules, err := os.ReadFile(filepath.Join(top, "deploy", "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	all := pages(t)
	found := runbook.FindAllSubmatch(rules, -1)
	if alerts := bytes.Count(rules, []byte("- alert:")); alerts == 0 || len(found) != alerts {
		t.Errorf("%d alerts, %d of them with a runbook", alerts, len(found))
	}
	for _, m := range found {
		if wrong := dangles(all, "README.md", string(m[1])); wrong != "" {
			t.Errorf("%s: %s", m[1], wrong)
		}
	}
}

var decision = regexp.MustCompile(`^docs/decisions/(\d{4})-[a-z0-9-]+\.md$`)

// A decision is named by its number, in its file's name and in its title.
func TestDecisionsHaveNumbersOfTheirOwn(t *testing.T) {
	t.Parallel()
	taken := map[string]string{}
	for page, text := range pages(t) {
		if !strings.HasPrefix(page, "docs/decisions/") {
			continue
		}
		m := decision.FindStringSubmatch(page)
		if m == nil {
			t.Errorf("%s: not named as NNNN-title.md", page)
			continue
		}
		if other := taken[m[1]]; other != "" {
			t.Errorf("%s and %s have one number", other, page)
		}
		taken[m[1]] = page
		if title := "# " + strings.TrimLeft(m[1], "0") + ". "; !strings.HasPrefix(text, title) {
			t.Errorf("%s does not begin with %q", page, title)
		}
	}
	if len(taken) == 0 {
		t.Error("no decisions were found")
	}
}
