//go:build mutations

package main

import (
	"errors"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// An engine that gives up the order within a partition: the simulation says what is
// broken, shows the trace and ends with exit code 1; the seed it names tells the same
// once more.
func TestABrokenInvariantEndsTheRunWithItsTrace(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "simulate")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-tags", "mutations", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	run := func() (string, int) {
		out, err := exec.CommandContext(t.Context(), program, "-workshop", "-sagas", "30", "-seed", "1", "-mutation", "per-partition order").Output()
		exit := &exec.ExitError{}
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return string(out), exit.ExitCode()
	}
	first, code := run()
	if code != 1 {
		t.Fatalf("exit code %d, want 1", code)
	}
	for _, want := range []string{"BROKEN a partition is published in order: ", "the trace of saga ", "\nseed 1: 30 sagas, ", "\ndigest: "} {
		if !strings.Contains(first, want) {
			t.Errorf("it does not say %q:\n%s", want, first)
		}
	}
	took := regexp.MustCompile(` simulated in \S+,`)
	if again, _ := run(); took.ReplaceAllString(again, "") != took.ReplaceAllString(first, "") {
		t.Errorf("the same seed tells another story:\n%s", again)
	}
}
