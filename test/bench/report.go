package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// report is what the command writes.
type report struct {
	Machine  string            `json:"machine"`
	Broker   string            `json:"broker"`
	Postgres string            `json:"postgres"`
	Date     time.Time         `json:"date"`
	Rounds   int               `json:"rounds"`
	Rows     map[string]*entry `json:"rows"`

	order []*row
}

// figures are medians of stock and ours, and ours ÷ stock.
type figures struct {
	Stock float64 `json:"stock"`
	Ours  float64 `json:"ours"`
	Ratio float64 `json:"ratio"`
}

// entry is a row's figures: events or sagas per second, or the p50 in
// milliseconds with p95 and p99 beside it.
type entry struct {
	figures
	Unit   string   `json:"unit"`
	P95    *figures `json:"p95,omitempty"`
	P99    *figures `json:"p99,omitempty"`
	Spread struct {
		Stock spread `json:"stock"`
		Ours  spread `json:"ours"`
	} `json:"spread"`
}

// add sums the runs of a row up.
func (r *report) add(row *row, runs *results) {
	r.order = append(r.order, row)
	r.Rows[row.name] = newEntry(row.unit, runs)
}

func newEntry(unit string, runs *results) *entry {
	of := func(value func(*measured) float64) (stock, ours spread) {
		all := func(from []*measured) (values []float64) {
			for _, m := range from {
				values = append(values, value(m))
			}
			return values
		}
		return spreadOf(all(runs.stock)), spreadOf(all(runs.ours))
	}
	e := &entry{Unit: unit}
	e.Spread.Stock, e.Spread.Ours = of((*measured).value)
	e.figures = newFigures(e.Spread.Stock, e.Spread.Ours)
	if unit == "ms" {
		p95 := newFigures(of(func(m *measured) float64 { return latencyOf(m.took).p95 }))
		p99 := newFigures(of(func(m *measured) float64 { return latencyOf(m.took).p99 }))
		e.P95, e.P99 = &p95, &p99
	}
	return e
}

// newFigures rounds to three digits; the ratio is that of the medians.
func newFigures(stock, ours spread) figures {
	f := figures{Stock: threeDigits(stock.Median), Ours: threeDigits(ours.Median)}
	if stock.Median > 0 {
		f.Ratio = threeDigits(ours.Median / stock.Median)
	}
	return f
}

func threeDigits(v float64) float64 {
	f, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64) // it was a number before
	return f
}

// cells are the table, its head first.
func (r *report) cells() [][]string {
	all := [][]string{{"work", "", "stock min", "median", "max", "ours min", "median", "max", "ours ÷ stock", "p99 stock", "p99 ours", "p99 ÷"}}
	for _, row := range r.order {
		e := r.Rows[row.name]
		line := []string{row.what, e.Unit}
		for _, s := range []spread{e.Spread.Stock, e.Spread.Ours} {
			line = append(line, show(s.Min), show(s.Median), show(s.Max))
		}
		line = append(line, show(e.Ratio)+" ×")
		if e.P99 != nil {
			line = append(line, show(e.P99.Stock), show(e.P99.Ours), show(e.P99.Ratio)+" ×")
		} else {
			line = append(line, "", "", "")
		}
		all = append(all, line)
	}
	return all
}

// show writes three digits, large numbers in groups.
func show(v float64) string {
	v = threeDigits(v)
	if v < 10_000 {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	digits := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// head says what the figures were taken on.
func (r *report) head() string {
	return fmt.Sprintf("%s. %s; Postgres %s, fsync on; %s. %d rounds of each side in turns; %d-byte events, %d partitions, %d connections to Postgres.",
		r.Date.Format("2006-01-02"), r.Machine, r.Postgres, r.Broker, r.Rounds, eventBytes, eventPartitions, connections)
}

// table prints the figures.
func (r *report) table(to io.Writer) error {
	fmt.Fprintln(to, r.head())
	t := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	for _, line := range r.cells() {
		fmt.Fprintln(t, strings.Join(line, "\t"))
	}
	return t.Flush()
}

func (r *report) writeJSON(file string) error {
	body, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(body, '\n'), 0o644)
}

// The marks between which the figures stand in a document.
const (
	docBegin = "<!-- bench: begin, written by make bench -->"
	docEnd   = "<!-- bench: end -->"
)

// writeDoc replaces what stands between the marks of the document, which is
// made when it is missing.
func (r *report) writeDoc(file string) error {
	old, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		old, err = []byte("# Performance\n\n"+docBegin+"\n"+docEnd+"\n"), nil
	}
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(old), docBegin)
	_, after, ok2 := strings.Cut(rest, docEnd)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no lines %q and %q to write between", file, docBegin, docEnd)
	}
	return os.WriteFile(file, []byte(before+docBegin+"\n"+r.markdown()+docEnd+after), 0o644)
}

func (r *report) markdown() string {
	var b strings.Builder
	b.WriteString(r.head() + "\n\n")
	for i, line := range r.cells() {
		b.WriteString("| " + strings.Join(line, " | ") + " |\n")
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(line)) + "|\n")
		}
	}
	return b.String()
}
