package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/user"
	"slices"
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

// on gives a command the flag -o, as every one has it that prints data.
func (a *answer) on(cmd *cobra.Command) *cobra.Command {
	formats := []string{"table", "json"}
	cmd.Flags().StringVarP(&a.format, "output", "o", formats[0], "table or json")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	cmd.PreRunE = func(c *cobra.Command, _ []string) error {
		a.out = c.OutOrStdout()
		if !slices.Contains(formats, a.format) {
			return usageError{fmt.Errorf("-o %s: choose table or json", a.format)}
		}
		return nil
	}
	return cmd
}

func (a *answer) json() bool { return a.format == "json" }

// give answers with a value as JSON, or with what table writes, its columns
// aligned.
func (a *answer) give(value any, table func(w io.Writer)) error {
	return a.tell(value, func(out io.Writer) error {
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		table(w)
		return w.Flush()
	})
}

// tell answers with a value as JSON, or with what text writes.
func (a *answer) tell(value any, text func(w io.Writer) error) error {
	if !a.json() {
		return text(a.out)
	}
	e := json.NewEncoder(a.out)
	e.SetIndent("", "  ")
	return e.Encode(value)
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
	cmd, err := part(use, short, long, needs, append(slices.Clip(flags), "up", "who"), func(ctx context.Context, c *config, given []string) error {
		return withDB(ctx, c, func(a *app) error { return run(choreo.AsOperator(ctx, c.operator()), a, to, given) })
	})
	if err != nil {
		return nil, err
	}
	cmd.Args = func(c *cobra.Command, given []string) error {
		if n := len(given); args >= 0 && n != args || args < 0 && n > -args {
			return usageError{fmt.Errorf("usage: %s", c.UseLine())}
		}
		return nil
	}
	return to.on(cmd), nil
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

// operator is who gives a command, for the audit: whom the configuration names,
// else the user of the machine.
func (c *config) operator() string {
	if c.Operator != "" {
		return c.Operator
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
		return wholeMinutes(d.Round(time.Second))
	case d < 48*time.Hour:
		return wholeMinutes(d.Round(time.Minute))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// wholeMinutes writes a duration without seconds where it has none.
func wholeMinutes(d time.Duration) string {
	if s, ok := strings.CutSuffix(d.String(), "m0s"); ok {
		return s + "m"
	}
	return d.String()
}

// cut shortens a text for a column.
func cut(s string, n int) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
