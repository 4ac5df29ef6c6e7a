package crashpoint_test

import (
	"os/exec"
	"strings"
	"testing"
)

// The product cannot be told to kill itself: what could is in no build but that
// with the tag.
func TestCrashPointsAreAbsentFromTheProduct(t *testing.T) {
	t.Parallel()
	for tags, want := range map[string]string{"": "[crashpoint.go]", "crashpoints": "[armed.go]"} {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-tags", tags, "-f", "{{.GoFiles}}", ".").Output()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("with the tags %q it is made of %s, want %s (%v)", tags, got, want, err)
		}
	}
}
