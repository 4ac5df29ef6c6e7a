package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
)

// book is what has been done so far with a binary.
type book struct {
	Binary string  `json:"binary"` // its SHA-256
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

// openBook opens the book of a binary: an empty one where it was another's.
func openBook(path, binary string) (*book, error) {
	code, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	b := &book{}
	body, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		body, err = []byte("{}"), nil
	}
	if err == nil {
		err = json.Unmarshal(body, b)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if sum := fmt.Sprintf("%x", sha256.Sum256(code)); b.Binary != sum {
		b = &book{Binary: sum}
	}
	b.path = path
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
func (b *book) in(p point) (n int, wrong bool) {
	for i, r := range b.Rounds {
		if slices.Contains(r.Died, p.String()) {
			n, wrong = i+1, wrong || r.Wrong != ""
		}
	}
	return n, wrong
}

// open are the points at which the system has not died yet.
func (b *book) open(all []point) []point {
	return slices.DeleteFunc(slices.Clone(all), func(p point) bool {
		n, _ := b.in(p)
		return n > 0
	})
}

// wrong is what keeps the run from being one that held.
func (b *book) wrong(all []point) error {
	var errs []error
	for i, r := range b.Rounds {
		if r.Wrong != "" {
			errs = append(errs, fmt.Errorf("round %d: %s", i+1, r.Wrong))
		}
	}
	if open := b.open(all); len(open) > 0 {
		errs = append(errs, fmt.Errorf("%d points were not come to", len(open)))
	}
	return errors.Join(errs...)
}

// print shows point by point what came of it.
func (b *book) print(out io.Writer, all []point) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "crash point\tround\tafter it")
	held := 0
	for _, p := range all {
		switch n, wrong := b.in(p); {
		case n == 0:
			fmt.Fprintf(w, "%s\t-\tnot come to\n", p)
		case wrong:
			fmt.Fprintf(w, "%s\t%d\tWRONG\n", p, n)
		default:
			held++
			fmt.Fprintf(w, "%s\t%d\tall settled, nothing twice\n", p, n)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "%d of %d points held, in %d rounds\n", held, len(all), len(b.Rounds))
	return err
}
