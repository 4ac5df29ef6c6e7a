package safeguard_test

import (
	"os/exec"
	"strings"
	"testing"
)

// The product cannot do without a safeguard: what switches one off, and what is
// done in its place, is in no build but that with the tag.
func TestMutationsAreAbsentFromTheProduct(t *testing.T) {
	t.Parallel()
	for dir, files := range map[string][2]string{
		".":           {"safeguard.go", "mutations.go"},
		"../..":       {"early.go", "early_mutations.go"},
		"../../relay": {"early.go", "early_mutations.go"},
	} {
		for tags, want := range map[string]string{"": files[0], "mutations": files[1]} {
			out, err := exec.CommandContext(t.Context(), "go", "list", "-tags", tags, "-f", "{{join .GoFiles \" \"}}", dir).Output()
			made := " " + strings.TrimSpace(string(out)) + " "
			other := strings.Replace(files[0]+files[1], want, "", 1)
			if err != nil || !strings.Contains(made, " "+want+" ") || strings.Contains(made, " "+other+" ") {
				t.Errorf("with the tags %q %s is made of %s, want %s and not %s (%v)", tags, dir, made, want, other, err)
			}
		}
	}
}
