// Command bench measures the engine beside the stock way of doing the same
// with Watermill: the same work on the same Postgres (fsync on) and the same
// Kafka, in turns. Every run verifies that each event was applied once and in
// order. Run it by `make bench`.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(300) // as cmd/troupe does; for both sides
	}
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	rounds     int
	events     int
	only       string
	side       string
	json, doc  string
	cpuprofile string
	verbose    bool
}

func parse(args []string) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.IntVar(&o.rounds, "rounds", 3, "measured `runs` of each side, in turns")
	f.IntVar(&o.events, "events", 200_000, "`events` of one run of ours; the stock way, being slower, gets a tenth to consume")
	f.StringVar(&o.only, "only", "", "run these rows, comma-separated `names`; growth stands for those that show what a million old events, "+
		"a million keys, parked steps and thirty consumers cost, ablation for those that show what the parts of an event cost")
	f.StringVar(&o.side, "side", "both", "stock, ours or both")
	f.StringVar(&o.json, "json", "", "write the figures to this `file`")
	f.StringVar(&o.doc, "doc", "", "write the figures into this Markdown `file`, between its bench marks")
	f.StringVar(&o.cpuprofile, "cpuprofile", "", "write a CPU profile of our first measured run of each row to `file`.ROW")
	f.BoolVar(&o.verbose, "v", false, "tell of each run on stderr")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unknown argument %q", f.Arg(0))
	}
	if o.rounds < 1 || o.events < 1000 {
		return nil, errors.New("at least one round of 1000 events")
	}
	if o.side != "both" && o.side != "stock" && o.side != "ours" {
		return nil, errors.New("-side is stock, ours or both")
	}
	return o, nil
}

func run(ctx context.Context, args []string) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	chosen, err := choose(o)
	if err != nil {
		return err
	}
	b, err := start(ctx, o, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	if b.kafka == nil {
		if err := b.warm(ctx); err != nil {
			return err
		}
		b.say("the broker is warm")
	}
	r := &report{Machine: machine(), Broker: b.brokerName, Postgres: b.postgresName, Date: time.Now().UTC().Truncate(time.Second),
		Rounds: o.rounds, Rows: map[string]*entry{}}
	for _, row := range chosen {
		e, err := b.measure(ctx, row)
		if err != nil {
			return fmt.Errorf("%s: %w", row.name, err)
		}
		r.add(row, e)
	}
	if err := r.table(os.Stdout); err != nil {
		return err
	}
	if o.json != "" {
		if err := r.writeJSON(o.json); err != nil {
			return err
		}
	}
	if o.doc != "" {
		return r.writeDoc(o.doc, groupOf(chosen))
	}
	return nil
}

// choose are the rows that the options ask for, in the order of the table: those
// of the stock way unless they are named, one by one or by their group.
func choose(o *options) ([]*row, error) {
	groups := map[string][]*row{"": rows(), growth: growthRows(), ablation: ablationRows()}
	if o.only == "" {
		return groups[""], nil
	}
	named := map[string]*row{}
	var names []string
	for _, r := range slices.Concat(groups[""], groups[growth], groups[ablation]) {
		named[r.name], names = r, append(names, r.name)
	}
	var chosen []*row
	for name := range strings.SplitSeq(o.only, ",") {
		switch {
		case groups[name] != nil:
			chosen = append(chosen, groups[name]...)
		case named[name] != nil:
			chosen = append(chosen, named[name])
		default:
			return nil, fmt.Errorf("there is no row %q; there are %s, and the groups %s and %s", name, strings.Join(names, ", "), growth, ablation)
		}
	}
	return chosen, nil
}

// Groups of rows, whose names begin with the group's. Each has a place of its own
// in the document.
const (
	growth   = "growth"
	ablation = "ablation"
)

// groupOf is the group that all rows belong to, empty for the table of rows.
func groupOf(chosen []*row) string {
	group, _, _ := strings.Cut(chosen[0].name, "_")
	for _, r := range chosen {
		if !strings.HasPrefix(r.name, group+"_") {
			return ""
		}
	}
	if group != growth && group != ablation {
		return ""
	}
	return group
}
