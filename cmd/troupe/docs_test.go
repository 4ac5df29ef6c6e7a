package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The table of settings has every variable that the program reads, with its flag
// and its default, and no other.
func TestTheGuideNamesEverySetting(t *testing.T) {
	_, table, found := strings.Cut(page(t, "docs/operating.md"), "\n## Settings\n")
	if !found {
		t.Fatal("docs/operating.md has no Settings")
	}
	rows := map[string][]string{}
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); strings.HasPrefix(line, "| `TROUPE_") {
			rows[strings.Trim(cells[1], " `")] = cells
		}
	}
	for f := range reflect.TypeFor[config]().Fields() {
		name := f.Tag.Get("env")
		if name == "" {
			continue
		}
		row := rows[name]
		delete(rows, name)
		if row == nil {
			t.Errorf("%s is missing", name)
			continue
		}
		want := "–"
		if flag := f.Tag.Get("flag"); flag != "" {
			want = "`--" + flag + "`"
		}
		if got := strings.TrimSpace(row[2]); got != want {
			t.Errorf("%s: the flag is %s, the table says %s", name, want, got)
		}
		if d := f.Tag.Get("envDefault"); d != "" && strings.TrimSpace(row[3]) != d {
			t.Errorf("%s: the default is %s, the table says %s", name, d, row[3])
		}
	}
	for name := range rows {
		t.Errorf("the table has %s, which the program does not read", name)
	}
}

var (
	span1 = regexp.MustCompile("`((?:go run \\./cmd/)?troupe [^`]*)`")
	typed = regexp.MustCompile(`(?m)^(?:    )?(?:\$ )?((?:go run \./cmd/)?troupe .*)$`)
	flagP = regexp.MustCompile(`(?:^|\s)(--?[a-z][a-z-]*)`)
	wordP = regexp.MustCompile(`^[a-z][a-z-]*$`)
)

// Every command that a page shows is one of the program, with flags that it has.
func TestThePagesShowCommandsThatThereAre(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range []string{
		"README.md", "docs/architecture.md", "docs/failures.md", "docs/glossary.md", "docs/operating.md", "docs/producers.md",
		"docs/replaying.md", "docs/tutorial.md",
	} {
		text := strings.ReplaceAll(page(t, name), "…", " ")
		for _, m := range slices.Concat(span1.FindAllStringSubmatch(text, -1), typed.FindAllStringSubmatch(text, -1)) {
			_, line, _ := strings.Cut(strings.Join(strings.Fields(m[1]), " "), "troupe ")
			line, _, _ = strings.Cut(line, " #")
			if wrong := notThere(t, line); wrong != "" {
				t.Errorf("%s: troupe %s: %s", name, line, wrong)
			}
			seen[line] = true
		}
	}
	if len(seen) < 40 {
		t.Errorf("only %d commands were found", len(seen))
	}
	for _, line := range []string{"sagas conduct", "replay refund-payment --twice", "rewind"} {
		if notThere(t, line) == "" {
			t.Errorf("troupe %s is taken for a command", line)
		}
	}
}

// notThere says what of a command line the program does not have.
func notThere(t *testing.T, line string) string {
	t.Helper()
	words := strings.Fields(line)
	if strings.HasPrefix(line, "-") {
		return ""
	}
	ask := words[:1]
	if len(words) > 1 && slices.Contains([]string{
		"audit", "consumers", "events", "flow", "new", "sagas", "schemas", "source", "steps", "topics", "views",
	}, words[0]) && wordP.MatchString(words[1]) {
		ask = words[:2]
	}
	var help bytes.Buffer
	if code := run(t.Context(), append(slices.Clone(ask), "--help"), &help); code != 0 {
		return "there is no such command"
	}
	if !strings.Contains(help.String(), "\n  troupe "+strings.Join(ask, " ")) {
		return "there is no such command"
	}
	for _, m := range flagP.FindAllStringSubmatch(line, -1) {
		if !regexp.MustCompile(`(?m)(^|[\s,])` + regexp.QuoteMeta(m[1]) + `\b`).Match(help.Bytes()) {
			return "it has no flag " + m[1]
		}
	}
	return ""
}
