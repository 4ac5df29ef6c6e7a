package relay_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/lib/pq"

	"troupe/choreo"
	"troupe/choreo/relay"
)

// Facts as large as they may be are claimed 16 MiB at a time: 4,000 at once would
// take 3.6 GB of memory. Small ones behind them come too, in order.
func TestLargeFactsAreClaimedByTheirBytes(t *testing.T) {
	t.Parallel()
	s, p := setUp(t)
	const large, small, size = 40, 30, 900_000
	_, err := choreo.Commit(t.Context(), s.DB, "tick", func(_ context.Context, tx *choreo.Tx) error {
		for n := range large + small {
			f := ticked{ClockID: "c", N: n}
			if n < large {
				f.Face = strings.Repeat(fmt.Sprint(n%10), size)
			}
			tx.Emit(f)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r := relay.New(s.DB, p, p, slog.New(slog.DiscardHandler))
	for _, want := range []int{19, 19, 2 + small, 0} { // 19 are 16 MiB and what reaches beyond
		if n, err := r.Sequence(t.Context()); err != nil || n != want {
			t.Fatalf("a claim takes %d (%v), want %d", n, err, want)
		}
	}
	if err := drain(t, r); err != nil {
		t.Fatal(err)
	}
	for _, sequences := range p.out {
		for i, sequence := range sequences {
			if sequence != fmt.Sprint(i+1) {
				t.Fatalf("published %v, want 1 to %d in order", sequences, large+small)
			}
		}
		if len(sequences) != large+small {
			t.Errorf("%d are published, want %d", len(sequences), large+small)
		}
	}
}

// A claim comes as one text: a fact that contains what stands between its columns
// is relayed as it is.
func TestAKeyWithControlCharactersIsRelayed(t *testing.T) {
	t.Parallel()
	s, p := setUp(t)
	_, err := choreo.Commit(t.Context(), s.DB, "tick", func(_ context.Context, tx *choreo.Tx) error {
		for n := range 3 {
			tx.Emit(ticked{ClockID: "a\x01\x01b", N: n})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := drain(t, relay.New(s.DB, p, p, slog.New(slog.DiscardHandler))); err != nil {
		t.Fatal(err)
	}
	var keys []string
	if err := s.DB.Pool().QueryRowContext(t.Context(), `select array_agg(key order by sequence) from choreo.event_log`).Scan(pq.Array(&keys)); err != nil {
		t.Fatal(err)
	}
	if want := []string{"a\x01\x01b", "a\x01\x01b", "a\x01\x01b"}; !slices.Equal(keys, want) {
		t.Errorf("the log has the keys %q, want %q", keys, want)
	}
	total := 0
	for _, sequences := range p.out {
		total += len(sequences)
	}
	if total != 3 {
		t.Errorf("%d facts are published, want 3", total)
	}
}
