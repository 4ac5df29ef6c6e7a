package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSpread(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values []float64
		want   spread
	}{
		{nil, spread{}},
		{[]float64{7}, spread{7, 7, 7}},
		{[]float64{9, 1, 5}, spread{1, 5, 9}},
		{[]float64{4, 1, 9, 2}, spread{1, 3, 9}},
	} {
		given := slices.Clone(c.values)
		if got := spreadOf(c.values); got != c.want {
			t.Errorf("the spread of %v is %v, not %v", c.values, got, c.want)
		}
		if !slices.Equal(given, c.values) {
			t.Errorf("%v was reordered", given)
		}
	}
}

func TestQuantiles(t *testing.T) {
	t.Parallel()
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = i + 1
	}
	for _, c := range []struct {
		sorted []int
		q      float64
		want   int
	}{
		{hundred, .50, 50}, {hundred, .95, 95}, {hundred, .99, 99}, {hundred, 1, 100}, {hundred, 0, 1},
		{[]int{3}, .99, 3}, {[]int{1, 2}, .50, 1}, {[]int{1, 2}, .51, 2},
	} {
		if got := quantile(c.sorted, c.q); got != c.want {
			t.Errorf("the %v quantile of %d values is %d, not %d", c.q, len(c.sorted), got, c.want)
		}
	}
	var took []time.Duration
	for i := 200; i > 0; i-- {
		took = append(took, time.Duration(i)*time.Millisecond)
	}
	if got, want := latencyOf(took), (latency{100, 190, 198}); got != want {
		t.Errorf("the latency is %v, not %v", got, want)
	}
}

// applied is what a consumer that does as it should leaves behind.
func applied(s *stream) []deposited {
	all := make([]deposited, s.events)
	for i := range all {
		all[i] = s.at(i)
	}
	return all
}

// verify is what the rows do with what a consumer left: the facts in their
// order, and the accounts that they make.
func verify(s *stream, events []deposited) (facts, accounts error) {
	l := s.ledger()
	folds := map[string]fold{}
	for _, d := range events {
		l.saw(d.AccountID, d.N)
		f, ok := folds[d.AccountID]
		if !ok {
			f = newFold()
		}
		folds[d.AccountID] = f.then(d.N, d.Amount)
	}
	got := map[string]account{}
	for key, f := range folds {
		got[key] = account{f.amount, f.add}
	}
	return l.err(), sameAccounts(l.accounts(), got)
}

func TestVerificationFails(t *testing.T) {
	t.Parallel()
	s := newStream(40) // ten accounts, four events each
	for _, c := range []struct {
		name string
		do   func([]deposited) []deposited
		want string // "" where all is well
	}{
		{"as it should be", func(e []deposited) []deposited { return e }, ""},
		{"keys in another order", func(e []deposited) []deposited {
			slices.SortStableFunc(e, func(a, b deposited) int { return strings.Compare(a.AccountID, b.AccountID) })
			return e
		}, ""},
		{"one lost", func(e []deposited) []deposited { return slices.Delete(e, 17, 18) }, "1 events lost"},
		{"the last lost", func(e []deposited) []deposited { return e[:39] }, "1 events lost"},
		{"one doubled at once", func(e []deposited) []deposited { return slices.Insert(e, 17, e[17]) }, "1 events applied twice"},
		{"one doubled later", func(e []deposited) []deposited { return append(e, e[0]) }, "1 events applied twice"},
		{"one doubled, one lost", func(e []deposited) []deposited { e[20] = e[10]; return e }, "1 events lost"},
		{"two of a key swapped", func(e []deposited) []deposited { e[3], e[13] = e[13], e[3]; return e }, "1 keys out of order"},
		{"one of nobody", func(e []deposited) []deposited { return append(e, newDeposited(keyOf(99), 1)) }, "1 events that nobody made"},
		{"one too many", func(e []deposited) []deposited { return append(e, newDeposited(keyOf(0), 5)) }, "nobody made"},
		{"nothing at all", func([]deposited) []deposited { return nil }, "40 events lost"},
	} {
		facts, accounts := verify(s, c.do(applied(s)))
		if c.want == "" {
			if facts != nil || accounts != nil {
				t.Errorf("%s: %v, %v", c.name, facts, accounts)
			}
			continue
		}
		if facts == nil || !strings.Contains(facts.Error(), c.want) {
			t.Errorf("%s: the facts' error is %v, not %s", c.name, facts, c.want)
		}
		if accounts == nil {
			t.Errorf("%s: the accounts do not tell", c.name)
		}
	}
}

func TestTheFoldOfABatchIsThatOfItsEvents(t *testing.T) {
	t.Parallel()
	whole, first, second := newFold(), newFold(), newFold()
	for n := 1; n <= 50; n++ {
		whole = whole.then(n, amountOf(n))
		if n <= 20 {
			first = first.then(n, amountOf(n))
		} else {
			second = second.then(n, amountOf(n))
		}
	}
	// What the statement `many` does to a row that is zero, with one batch, then another.
	if got := (first.add*second.mult + second.add) % digestPrime; got != whole.add {
		t.Errorf("two batches make the digest %d, one makes %d", got, whole.add)
	}
	if first.amount+second.amount != whole.amount {
		t.Error("the amounts differ")
	}
}

func TestEventsHaveTheirSize(t *testing.T) {
	t.Parallel()
	s := newStream(100_000)
	for _, i := range []int{0, 1, 50_000, 99_999} {
		body, err := json.Marshal(s.at(i))
		if err != nil {
			t.Fatal(err)
		}
		if len(body) != eventBytes {
			t.Errorf("event %d has %d bytes", i, len(body))
		}
	}
	last := map[string]int{}
	for i := range s.events {
		d := s.at(i)
		if last[d.AccountID]++; d.N != last[d.AccountID] {
			t.Fatalf("event %d is number %d of its account, not %d", i, d.N, last[d.AccountID])
		}
	}
}

func TestFillKeepsTheOrderOfEachKey(t *testing.T) {
	t.Parallel()
	s := newStream(1003)
	l := s.ledger()
	gathered := make(chan deposited, s.events)
	err := s.fill(t.Context(), 7, func(ctx context.Context, events []deposited) error {
		for _, d := range events {
			gathered <- d
		}
		return nil
	})
	close(gathered)
	for d := range gathered {
		l.saw(d.AccountID, d.N)
	}
	if err := errors.Join(err, l.err()); err != nil {
		t.Error(err)
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	r := &report{Machine: "a machine", Broker: "a broker", Rounds: 3, Rows: map[string]*entry{}}
	r.add(against("consume", "consumed", "events/s", nil, nil), &results{
		{{perSecond: 2000}, {perSecond: 1000}, {perSecond: 3000}},
		{{perSecond: 41234}, {perSecond: 60000}, {perSecond: 39000}}})
	took := func(ms ...int) *measured {
		m := &measured{}
		for _, n := range ms {
			m.took = append(m.took, time.Duration(n)*time.Millisecond)
		}
		return m
	}
	r.add(against("hop_200", "hop", "ms", nil, nil), &results{{took(10, 20, 30)}, {took(5, 5, 60)}})
	file := filepath.Join(t.TempDir(), "figures.json")
	if err := r.writeJSON(file); err != nil {
		t.Fatal(err)
	}
	body, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	type figures struct{ Stock, Ours, Ratio float64 }
	var got struct {
		Machine, Broker, Date string
		Rows                  map[string]struct {
			figures
			P99 *figures
		}
	}
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	if f := got.Rows["consume"]; f.figures != (figures{2000, 41200, 20.6}) || f.P99 != nil {
		t.Errorf("consume is %+v", f)
	}
	if f := got.Rows["hop_200"]; f.figures != (figures{20, 5, 0.25}) || f.P99 == nil || *f.P99 != (figures{30, 60, 2}) {
		t.Errorf("hop_200 is %+v, p99 %+v", f.figures, f.P99)
	}
	if got.Machine == "" || got.Broker == "" || got.Date == "" {
		t.Errorf("%s says not what it was measured on", body)
	}

	doc := filepath.Join(t.TempDir(), "performance.md")
	for range 2 { // the second time it replaces
		if err := r.writeDoc(doc, ""); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "41,200"); n != 1 {
		t.Errorf("the document has the figure %d times:\n%s", n, text)
	}
	if err := r.writeDoc(doc, growth); err != nil { // at a place of its own
		t.Fatal(err)
	}
	if text, err = os.ReadFile(doc); err != nil || strings.Count(string(text), "41,200") != 2 {
		t.Errorf("the group has no place of its own: %v\n%s", err, text)
	}
	begin, _ := marks("")
	if err := os.WriteFile(doc, []byte(begin), 0o600); err != nil {
		t.Fatal(err)
	}
	if r.writeDoc(doc, "") == nil {
		t.Error("a document was written over to its end")
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	o, err := parse([]string{"-only", "relay,growth_relay", "-rounds", "2"})
	if err != nil {
		t.Fatal(err)
	}
	chosen, err := choose(o)
	if err != nil || len(chosen) != 2 || chosen[0].name != "relay" || chosen[1].name != "growth_relay" {
		t.Errorf("chose %v, %v", chosen, err)
	}
	for only, want := range map[string]string{"": "", "consume,growth_relay": "", "growth": growth, "ablation_fact": ablation} {
		if chosen, err := choose(&options{only: only}); err != nil || groupOf(chosen) != want {
			t.Errorf("%q is of the group %q, %v", only, groupOf(chosen), err)
		}
	}
	for _, bad := range [][]string{{"-rounds", "0"}, {"-side", "left"}, {"more"}} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%v is accepted", bad)
		}
	}
	if _, err := choose(&options{only: "nonsense"}); err == nil {
		t.Error("a row that is not there was chosen")
	}
	var names []string
	for _, r := range slices.Concat(rows(), growthRows(), ablationRows()) {
		names = append(names, r.name)
	}
	n := len(names)
	if slices.Sort(names); len(slices.Compact(names)) != n {
		t.Errorf("names of rows are not distinct: %v", names)
	}
}
