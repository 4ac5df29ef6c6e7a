package main

import (
	"testing"
	"time"
)

func TestSpan(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0:                             "0s",
		40 * time.Millisecond:         "40ms",
		-1500 * time.Millisecond:      "1.5s",
		2 * time.Minute:               "2m",
		2*time.Minute + 7*time.Second: "2m7s",
		150 * time.Second:             "2m30s",
		time.Hour:                     "1h0m",
		90*time.Minute + time.Second:  "1h30m",
		73 * time.Hour:                "3d",
	} {
		if got := span(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}
