package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"troupe/choreo"
	"troupe/schemas"
)

func schemasCommand() (*cobra.Command, error) {
	cmd := &cobra.Command{Use: "schemas", Short: "The JSON Schemas of facts, and how they change"}
	dir, to := ".", &answer{}
	diff := to.on(&cobra.Command{
		Use: "diff [REV]", Short: "Tell compatible changes of facts from breaking ones",
		Long: "Compares the schemas of the tree with those at REV and at every release before it (tags v*), backward (new\n" +
			"readers, old data) and forward (old readers, new data); without REV, with the last release, or HEAD where\n" +
			"there is none. A version whose schema breaks readers, or is gone, is an error: such a change is a new version,\n" +
			"which reads all older ones (Upcasts). Exit code 1 then.",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{fmt.Errorf("%s takes one revision, not %q", c.CommandPath(), args)}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			flow, err := theFlow()
			if err != nil {
				return err
			}
			revisions, err := revisions(dir, args)
			if err != nil {
				return err
			}
			d, err := diffSchemas(flow, dir, revisions)
			if err != nil {
				return err
			}
			if err := to.give(d, func(w io.Writer) { printDiff(w, d) }); err != nil {
				return err
			}
			if n := d.broken(); n > 0 {
				return fmt.Errorf("%d breaking changes: make each a new version of its fact, whose Upcasts read the older ones", n)
			}
			return nil
		},
	})
	diff.Flags().StringVar(&dir, "dir", dir, "top of the repository")
	cmd.AddCommand(diff)
	return cmd, nil
}

// schemaChange is one change of a fact: within a version since a revision, or
// from an older version to the newest.
type schemaChange struct {
	Fact  string `json:"fact"`
	Since string `json:"since"` // a revision, or the older version
	schemas.Change
	Upcast bool `json:"upcast"` // the newest version reads the older one
}

// bad tells whether the change may not be made.
func (c schemaChange) bad() bool { return c.Breaking() && !c.Upcast }

type schemaDiff struct {
	Revisions []string       `json:"revisions"`
	Facts     int            `json:"facts"`
	Changes   []schemaChange `json:"changes"`
}

func (d *schemaDiff) broken() (n int) {
	for _, c := range d.Changes {
		if c.bad() {
			n++
		}
	}
	return n
}

// revisions are the one to compare with, and every release before it.
func revisions(dir string, args []string) ([]string, error) {
	base := "HEAD"
	if last, err := git(dir, "describe", "--tags", "--abbrev=0", "--match", "v*"); err == nil {
		base = strings.TrimSpace(last)
	}
	if len(args) > 0 {
		base = args[0]
	}
	if _, err := git(dir, "rev-parse", "--verify", "--quiet", base+"^{commit}"); err != nil {
		return nil, usageError{fmt.Errorf("%q is no revision of this repository", base)}
	}
	tags, err := git(dir, "tag", "--list", "v*", "--merged", base)
	if err != nil {
		return nil, err
	}
	all := strings.Fields(tags)
	if !slices.Contains(all, base) {
		all = append(all, base)
	}
	return all, nil
}

func git(dir string, args ...string) (string, error) {
	var stderr bytes.Buffer
	cmd := exec.Command("git", append([]string{"-C", dir}, args...)...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}

func diffSchemas(flow *choreo.Flow, dir string, revisions []string) (*schemaDiff, error) {
	now := map[string][]byte{}
	files, err := filepath.Glob(filepath.Join(dir, "schemas", "*.json"))
	if err != nil || len(files) == 0 {
		return nil, errors.Join(errors.New("there are no schemas (run this at the top of the repository, or say where that is with --dir)"), err)
	}
	for _, file := range files {
		if now[strings.TrimSuffix(filepath.Base(file), ".json")], err = os.ReadFile(file); err != nil {
			return nil, err
		}
	}
	d := &schemaDiff{Revisions: revisions, Facts: len(now), Changes: []schemaChange{}}
	for _, rev := range revisions {
		if err := d.since(dir, rev, now); err != nil {
			return nil, err
		}
	}
	return d, d.versions(flow, now)
}

// since compares every version that a revision had with what it is now.
func (d *schemaDiff) since(dir, rev string, now map[string][]byte) error {
	list, err := git(dir, "ls-tree", "--name-only", rev, "schemas/")
	if err != nil {
		return err
	}
	for path := range strings.FieldsSeq(list) {
		fact, isSchema := strings.CutSuffix(strings.TrimPrefix(path, "schemas/"), ".json")
		if !isSchema {
			continue
		}
		if now[fact] == nil {
			d.Changes = append(d.Changes, schemaChange{Fact: fact, Since: rev, Change: schemas.Change{
				What: "the version is gone: what was published stays, and has to be read", Backward: true, Forward: true}})
			continue
		}
		was, err := git(dir, "show", rev+":"+path)
		if err != nil {
			return err
		}
		if err := d.compare(fact, rev, []byte(was), now[fact], false); err != nil {
			return err
		}
	}
	return nil
}

// versions compares every older version of a fact with the newest.
func (d *schemaDiff) versions(flow *choreo.Flow, now map[string][]byte) error {
	for _, f := range flow.Facts() {
		newest := f.FactType()
		name, n := choreo.Version(newest)
		for v := 1; v < n; v++ {
			old := fmt.Sprintf("%s.v%d", name, v)
			if now[old] == nil || now[newest] == nil {
				continue
			}
			if err := d.compare(newest, old, now[old], now[newest], choreo.Upcasts(f, v)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *schemaDiff) compare(fact, since string, was, is []byte, upcast bool) error {
	changes, err := schemas.Compare(was, is)
	if err != nil {
		return fmt.Errorf("%s since %s: %w", fact, since, err)
	}
	for _, c := range changes {
		d.Changes = append(d.Changes, schemaChange{Fact: fact, Since: since, Change: c, Upcast: upcast})
	}
	return nil
}

func printDiff(w io.Writer, d *schemaDiff) {
	if len(d.Changes) > 0 {
		fmt.Fprintln(w, "FACT\tSINCE\tFIELD\tCHANGE\tVERDICT")
	}
	for _, c := range d.Changes {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", c.Fact, c.Since, c.Path, c.What, c.verdict())
	}
	fmt.Fprintf(w, "%d schemas compared with %s: %d changes, %d breaking\n", d.Facts, strings.Join(d.Revisions, ", "), len(d.Changes), d.broken())
}

func (c schemaChange) verdict() string {
	switch {
	case !c.Breaking():
		return "compatible"
	case c.Upcast:
		return "breaking, a new version that reads the old one"
	case c.Backward && c.Forward:
		return "BREAKING, backward and forward"
	case c.Backward:
		return "BREAKING, backward"
	}
	return "BREAKING, forward"
}
