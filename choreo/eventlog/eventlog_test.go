package eventlog_test

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"testing"

	"troupe/choreo"
	"troupe/choreo/choreotest"
	"troupe/choreo/eventlog"
	"troupe/choreo/pull"
)

type tossed struct {
	CoinID string `json:"coinId"`
	N      int    `json:"n"`
}

func (tossed) FactType() string { return "coins.Tossed.v1" }
func (f tossed) Key() string    { return f.CoinID }

type weighed struct {
	CoinID string `json:"coinId"`
}

func (weighed) FactType() string { return "scales.Weighed.v1" }
func (f weighed) Key() string    { return f.CoinID }

func open(t *testing.T) *choreotest.Stage {
	t.Helper()
	flow, err := choreo.NewFlow(choreo.Command("toss").Emits(tossed{}), choreo.Command("weigh").Emits(weighed{}))
	if err != nil {
		t.Fatal(err)
	}
	return choreotest.New(t, flow, choreo.Migrate)
}

// While many commit at once, a reader never sees a position before the one in
// front of it, whatever size of page it asks for; and in the end it has all.
func TestReadersSeeNoGapUnderConcurrentCommits(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.Perform()
	const writers, each = 16, 40
	var writing, reading sync.WaitGroup
	for _, limit := range []int{1, 7, 1000} {
		reading.Go(func() {
			var at int64
			last := map[string]int{} // of each writer
			for at < writers*each && t.Context().Err() == nil {
				page, _, err := eventlog.Read(t.Context(), s.DB, pull.Query{After: at, Limit: limit})
				if err != nil {
					t.Error(err)
					return
				}
				for _, e := range page.Items {
					if e.Position != at+1 {
						t.Errorf("after position %d comes %d", at, e.Position)
						return
					}
					at = e.Position
					var n int
					if _, err := fmt.Sscanf(string(e.Data[bytes.LastIndexByte(e.Data, ':')+1:]), "%d", &n); err != nil || n != last[e.Key] {
						t.Errorf("of writer %s comes %s, want n = %d (%v)", e.Key, e.Data, last[e.Key], err)
						return
					}
					last[e.Key]++
				}
				if page.Position != at {
					t.Errorf("the page ends at %d, its events at %d", page.Position, at)
					return
				}
			}
		})
	}
	for w := range writers {
		writing.Go(func() {
			for n := range each {
				s.Emit("toss", tossed{fmt.Sprintf("w%d", w), n})
			}
		})
	}
	writing.Wait()
	reading.Wait()
}

func TestFiltersAndPositions(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.Emit("toss", tossed{"c", 1})
	s.Emit("weigh", weighed{"c"})
	s.Emit("toss", tossed{"c", 2})
	s.Perform()
	choreotest.Eventually(t, "all is in the log", func() bool {
		head, err := s.DB.LogHead(t.Context())
		return err == nil && head == 3
	})
	for name, c := range map[string]struct {
		query    pull.Query
		position int64
		want     []int64
		more     bool
	}{
		"all":            {pull.Query{Limit: 10}, 3, []int64{1, 2, 3}, false},
		"some":           {pull.Query{Limit: 2}, 2, []int64{1, 2}, true},
		"of a topic":     {pull.Query{Limit: 10, Topics: []string{"coins"}}, 3, []int64{1, 3}, false},
		"of two topics":  {pull.Query{Limit: 10, Topics: []string{"coins", "scales"}}, 3, []int64{1, 2, 3}, false},
		"of a type":      {pull.Query{Limit: 10, Types: []string{"scales.Weighed.v1"}}, 3, []int64{2}, false},
		"of none":        {pull.Query{Limit: 10, Topics: []string{"nobody"}}, 3, nil, false},
		"after some":     {pull.Query{After: 2, Limit: 10}, 3, []int64{3}, false},
		"at the end":     {pull.Query{After: 3, Limit: 10}, 3, nil, false},
		"past the end":   {pull.Query{After: 99, Limit: 10}, 99, nil, false},
		"one of a topic": {pull.Query{After: 1, Limit: 1, Topics: []string{"coins"}}, 3, []int64{3}, false},
	} {
		page, more, err := eventlog.Read(t.Context(), s.DB, c.query)
		var got []int64
		for _, e := range page.Items {
			got = append(got, e.Position)
		}
		if err != nil || !slices.Equal(got, c.want) || page.Position != c.position || more != c.more || page.Items == nil {
			t.Errorf("%s: %v at %d, more %t (%v); want %+v", name, got, page.Position, more, err, c)
		}
	}
}
