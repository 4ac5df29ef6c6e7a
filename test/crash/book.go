package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"text/tabwriter"
)

// book is what has been done so far.
type book struct {
	Rounds []round `json:"rounds"`

	path string
}

// round is one demo, and where the system died in it.
type round struct {
	Seed  uint64   `json:"seed"`
	Died  []string `json:"died"`
	Wrong string   `json:"wrong,omitempty"` // empty: every saga settled, and the sums add up
	Took  string   `json:"took"`
}

func openBook(path string) (*book, error) {
	b := &book{path: path}
	body, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return b, nil
	}
	if err == nil {
		err = json.Unmarshal(body, b)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return b, nil
}

func (b *book) add(r round) error {
	b.Rounds = append(b.Rounds, r)
	body, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(b.path+".new", body, 0o600); err != nil {
		return err
	}
	return os.Rename(b.path+".new", b.path)
}

// in finds the rounds in which the system died at a point.
func (b *book) in(point string) (n int, wrong bool) {
	for i, r := range b.Rounds {
		if slices.Contains(r.Died, point) {
			n, wrong = i+1, wrong || r.Wrong != ""
		}
	}
	return n, wrong
}

// open are the points at which the system has not died yet.
func (b *book) open(all []string, only *regexp.Regexp) (open []string) {
	for _, p := range all {
		if n, _ := b.in(p); n == 0 && only.MatchString(p) {
			open = append(open, p)
		}
	}
	return open
}

func (b *book) wrong() error {
	for _, r := range b.Rounds {
		if r.Wrong != "" {
			return fmt.Errorf("round of seed %d: %s", r.Seed, r.Wrong)
		}
	}
	return nil
}

// print shows point by point what came of it.
func (b *book) print(out io.Writer, all []string, only *regexp.Regexp) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "crash point\tround\tafter it")
	died, held, most := 0, 0, 0
	for _, p := range all {
		if !only.MatchString(p) {
			continue
		}
		most++
		switch n, wrong := b.in(p); {
		case n == 0:
			fmt.Fprintf(w, "%s\t-\tnot come to\n", p)
		case wrong:
			died++
			fmt.Fprintf(w, "%s\t%d\tWRONG\n", p, n)
		default:
			died, held = died+1, held+1
			fmt.Fprintf(w, "%s\t%d\tall settled, nothing twice\n", p, n)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "%d of %d points died at, %d of them held, in %d rounds\n", died, most, held, len(b.Rounds))
	return err
}
