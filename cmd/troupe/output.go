package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"troupe/choreo"
)

// answer is where a command answers, and how: a table for people, JSON for
// scripts. Progress goes to standard error, where that is a terminal.
type answer struct {
	out    io.Writer
	format string
}

func (a *answer) flag(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&a.format, "output", "o", "table", "table or json")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp))
}

func (a *answer) json() bool { return a.format == "json" }

// give answers with a value as JSON, or with what table writes.
func (a *answer) give(value any, table func(w io.Writer)) error {
	if a.json() {
		e := json.NewEncoder(a.out)
		e.SetIndent("", "  ")
		return e.Encode(value)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	table(w)
	return w.Flush()
}

// items is a list as it is answered in JSON.
func items[T any](list []T) map[string]any {
	return map[string]any{"items": append([]T{}, list...)}
}

// dry says that a command did not do what it would do.
func dry(w io.Writer) { fmt.Fprintln(w, "Nothing was changed: repeat this with --execute.") }

// progress shows one line that is written over, on a terminal.
func progress(format string, args ...any) {
	if onTerminal(os.Stderr) {
		fmt.Fprintf(os.Stderr, "\r\033[K"+format, args...)
	}
}

func onTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// operatorCommand makes a command of an operator over a migrated database. args
// is how many arguments it takes, and usage how to name them where they are not
// given; a negative number is at most so many.
func operatorCommand(use, short, long string, args int, needs, flags []string, run func(context.Context, *app, *answer, []string) error) (*cobra.Command, error) {
	to := &answer{}
	cmd, err := part(use, short, long, needs, flags, func(ctx context.Context, c *config, given []string) error {
		if to.format != "table" && to.format != "json" {
			return usageError{fmt.Errorf("-o %s: choose table or json", to.format)}
		}
		return withDB(ctx, c, func(a *app) error { return run(choreo.AsOperator(ctx, operator()), a, to, given) })
	})
	if err != nil {
		return nil, err
	}
	to.flag(cmd)
	cmd.Args = func(c *cobra.Command, given []string) error {
		to.out = c.OutOrStdout()
		if n := len(given); args >= 0 && n != args || args < 0 && n > -args {
			return usageError{fmt.Errorf("usage: %s", c.UseLine())}
		}
		return nil
	}
	return cmd, nil
}

// group joins commands under a name.
func group(use, short string, makes ...func() (*cobra.Command, error)) (*cobra.Command, error) {
	g := &cobra.Command{Use: use, Short: short}
	for _, f := range makes {
		c, err := f()
		if err != nil {
			return nil, err
		}
		g.AddCommand(c)
	}
	return g, nil
}

// operator is who gives a command, for the audit: TROUPE_OPERATOR, else the user
// of the machine.
func operator() string {
	if who := os.Getenv("TROUPE_OPERATOR"); who != "" {
		return who
	}
	name := "uid " + strconv.Itoa(os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		return name
	}
	return name + "@" + host
}

// clock writes a time for people: UTC, to the second.
func clock(t time.Time) string { return t.UTC().Format(time.DateTime) }

// span writes a duration for people: two units at most.
func span(d time.Duration) string {
	d = d.Abs()
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return strings.TrimSuffix(d.Round(time.Second).String(), "0s")
	case d < 48*time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// cut shortens a text for a column.
func cut(s string, n int) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
