package main

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// spread is what repeated runs of one thing gave.
type spread struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
}

// spreadOf is the spread of the values; of an even number the median is the
// mean of the two in the middle. Without values it is all zero.
func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	v := slices.Sorted(slices.Values(values))
	middle := v[len(v)/2]
	if len(v)%2 == 0 {
		middle = (v[len(v)/2-1] + middle) / 2
	}
	return spread{v[0], middle, v[len(v)-1]}
}

// quantile is the smallest of the sorted values that at least the share q of
// them do not exceed (nearest rank): no value is invented between two.
func quantile[T cmp.Ordered](sorted []T, q float64) T {
	rank := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[max(0, min(rank, len(sorted)-1))]
}

// latency is how long the events of a run took, in milliseconds.
type latency struct{ p50, p95, p99 float64 }

func latencyOf(took []time.Duration) latency {
	s := slices.Sorted(slices.Values(took))
	ms := func(q float64) float64 { return float64(quantile(s, q)) / float64(time.Millisecond) }
	return latency{ms(.50), ms(.95), ms(.99)}
}
