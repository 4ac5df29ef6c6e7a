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

	order []*entry
}

// figures are the medians of the two sides, and the second ÷ the first.
type figures struct {
	first, second, ratio float64
}

// newFigures rounds to three digits; the ratio is that of the medians.
func newFigures(sides [2]spread) figures {
	f := figures{first: threeDigits(sides[0].Median), second: threeDigits(sides[1].Median)}
	if sides[0].Median > 0 {
		f.ratio = threeDigits(sides[1].Median / sides[0].Median)
	}
	return f
}

// entry is a row's figures: events or sagas per second, or the p50 in
// milliseconds with p95 and p99 beside it.
type entry struct {
	figures
	row      *row
	spread   [2]spread
	p95, p99 figures // of latencies
	cpu      figures // µs of processor time for each event, zero where it was not taken
}

// add sums the runs of a row up.
func (r *report) add(row *row, runs *results) {
	of := func(value func(*measured) float64) (s [2]spread) {
		for i, side := range runs {
			var values []float64
			for _, m := range side {
				values = append(values, value(m))
			}
			s[i] = spreadOf(values)
		}
		return s
	}
	e := &entry{row: row, spread: of((*measured).value), cpu: newFigures(of(func(m *measured) float64 { return m.cpuPerEvent }))}
	e.figures = newFigures(e.spread)
	if row.unit == "ms" {
		e.p95 = newFigures(of(func(m *measured) float64 { return latencyOf(m.took).p95 }))
		e.p99 = newFigures(of(func(m *measured) float64 { return latencyOf(m.took).p99 }))
	}
	r.order, r.Rows[row.name] = append(r.order, e), e
}

// MarshalJSON names the figures by the sides of the row, which are stock and
// ours in most.
func (e *entry) MarshalJSON() ([]byte, error) {
	first, second := e.row.sides[0].label, e.row.sides[1].label
	named := func(f figures) map[string]any {
		return map[string]any{first: f.first, second: f.second, "ratio": f.ratio}
	}
	all := named(e.figures)
	all["unit"] = e.row.unit
	all["spread"] = map[string]spread{first: e.spread[0], second: e.spread[1]}
	if e.row.unit == "ms" {
		all["p95"], all["p99"] = named(e.p95), named(e.p99)
	}
	if e.cpu.first+e.cpu.second > 0 {
		all["cpuMicrosPerEvent"] = named(e.cpu)
	}
	return json.Marshal(all)
}

func threeDigits(v float64) float64 {
	f, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64) // it was a number before
	return f
}

// cells are the table, its head first.
func (r *report) cells() [][]string {
	all := [][]string{{"work", "", "", "min", "median", "max", "p95", "p99", "µs of CPU each", "ratio", "of p99"}}
	for _, e := range r.order {
		for i, side := range e.row.sides {
			line := []string{"", e.row.unit, side.label, show(e.spread[i].Min), show(e.spread[i].Median), show(e.spread[i].Max), "", "", "", "", ""}
			if i == 0 {
				line[0] = e.row.what
			} else {
				line[9] = show(e.ratio) + " ×"
			}
			if e.row.unit == "ms" {
				line[6], line[7] = show([]float64{e.p95.first, e.p95.second}[i]), show([]float64{e.p99.first, e.p99.second}[i])
				if i == 1 {
					line[10] = show(e.p99.ratio) + " ×"
				}
			} else if cpu := []float64{e.cpu.first, e.cpu.second}[i]; cpu > 0 {
				line[8] = show(cpu)
			}
			all = append(all, line)
		}
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
	return fmt.Sprintf("%s. %s. Postgres %s, fsync on. %s. %d rounds of each side in turns; %d-byte events, %d partitions, %d connections to Postgres.",
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

// marks are the lines between which the figures of a group stand in a document.
func marks(group string) (begin, end string) {
	what := strings.TrimSpace("bench " + group)
	return fmt.Sprintf("<!-- %s: begin, written by make bench -->", what), fmt.Sprintf("<!-- %s: end -->", what)
}

// writeDoc replaces what stands between the marks of the document, which are
// put at its end where they are missing.
func (r *report) writeDoc(file, group string) error {
	old, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		old, err = []byte("# Performance\n"), nil
	}
	if err != nil {
		return err
	}
	begin, end := marks(group)
	text := string(old)
	if !strings.Contains(text, begin) {
		text += "\n" + begin + "\n" + end + "\n"
	}
	before, rest, _ := strings.Cut(text, begin)
	_, after, ok := strings.Cut(rest, end)
	if !ok {
		return fmt.Errorf("%s has no line %q behind %q", file, end, begin)
	}
	return os.WriteFile(file, []byte(before+begin+"\n"+r.markdown()+end+after), 0o644)
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
