package tag_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"troupe/choreo"
	"troupe/choreo/choreotest"
	"troupe/domain"
	"troupe/domain/tag"
)

func TestFold(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"Go":                    "go",
		"  Go\t":                "go",
		"Cafe\u0301":            "café",
		"CAF\u00c9":             "café",
		"STRASSE":               "strasse",
		"Straße":                "strasse",
		"ΣΊΣΥΦΟΣ":               "σίσυφοσ",
		"C++":                   "c++",
		"New  York":             "new  york",
		strings.Repeat("x", 64): strings.Repeat("x", 64),
	} {
		got, err := tag.Fold(given)
		if err != nil || got != want {
			t.Errorf("Fold(%q) = %q, %v; want %q", given, got, err, want)
		}
		if again, _ := tag.Fold(got); again != got {
			t.Errorf("folding %q again gives %q", got, again)
		}
	}
	for _, no := range []string{"", " \u00a0", "a\x00b", "a\nb", strings.Repeat("x", 65)} {
		if got, err := tag.Fold(no); !errors.Is(err, tag.ErrName) {
			t.Errorf("Fold(%q) = %q, %v", no, got, err)
		}
	}
}

func TestFoldAll(t *testing.T) {
	t.Parallel()
	got, err := tag.FoldAll([]string{"b", "A", " a", "B "})
	if err != nil || !slices.Equal(got, []string{"b", "a"}) {
		t.Errorf("%q, %v", got, err)
	}
	_, err = tag.FoldAll([]string{"ok", "", "\x00"})
	var first *tag.NameError
	if !errors.As(err, &first) || first.Field() != "tagNames[1]" {
		t.Errorf("%v", err)
	}
}

func migrate(ctx context.Context, pool *sql.DB) error {
	if err := choreo.Migrate(ctx, pool); err != nil {
		return err
	}
	return domain.Migrate(ctx, pool)
}

func stage(t *testing.T) *choreotest.Stage {
	flow, err := choreo.NewFlow(choreo.Command("do"))
	if err != nil {
		t.Fatal(err)
	}
	return choreotest.New(t, flow, migrate)
}

// race runs n commands at once. Deadlocks would be retried, and are counted.
func race(t *testing.T, s *choreotest.Stage, n int, do func(ctx context.Context, tx *choreo.Tx, i int) error) {
	t.Helper()
	var g errgroup.Group
	for i := range n {
		g.Go(func() error {
			_, err := choreo.Commit(t.Context(), s.DB, "do", func(ctx context.Context, tx *choreo.Tx) error {
				err := do(ctx, tx, i)
				if choreo.SQLState(err) == "40P01" {
					t.Errorf("deadlock: %v", err)
				}
				return err
			})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

func TestPostsRaceForTheSameNames(t *testing.T) {
	t.Parallel()
	s := stage(t)
	var names []string
	for i := range 10 {
		names = append(names, fmt.Sprintf("name %d", i))
	}
	race(t, s, 50, func(ctx context.Context, tx *choreo.Tx, i int) error {
		mine := slices.Clone(names)
		rand.Shuffle(len(mine), func(a, b int) { mine[a], mine[b] = mine[b], mine[a] })
		return tag.Map(ctx, tx, fmt.Sprint("post ", i), mine)
	})
	if n := s.Count(`select count(*) from tags`); n != 10 {
		t.Errorf("%d tags, want 10", n)
	}
	if n := s.Count(`select count(*) from blog_post_tags`); n != 500 {
		t.Errorf("%d mappings, want 500", n)
	}
}

func TestMapTwiceMapsOnce(t *testing.T) {
	t.Parallel()
	s := stage(t)
	for range 2 {
		s.Given("do", func(ctx context.Context, tx *choreo.Tx) error {
			return tag.Map(ctx, tx, "post", []string{"b", "a"})
		})
	}
	if n := s.Count(`select count(*) from blog_post_tags`); n != 2 {
		t.Errorf("%d mappings", n)
	}
	if n := s.Count(`select count(*) from tags`); n != 2 {
		t.Errorf("%d tags", n)
	}
}

// A tag that one post loses while another gets it is there in the end, with
// its mapping, and one that nobody has is not.
func TestMappingRacesWithUnmapping(t *testing.T) {
	t.Parallel()
	s := stage(t)
	names := []string{"a", "b", "c"}
	for round := range 20 {
		old := fmt.Sprint("old ", round)
		s.Given("do", func(ctx context.Context, tx *choreo.Tx) error { return tag.Map(ctx, tx, old, names) })
		race(t, s, 10, func(ctx context.Context, tx *choreo.Tx, i int) error {
			if i%5 == 0 {
				return tag.Unmap(ctx, tx, old)
			}
			return tag.Map(ctx, tx, fmt.Sprintf("new %d %d", round, i), names)
		})
		if n := s.Count(`select count(*) from blog_post_tags`); n != 8*3 {
			t.Fatalf("round %d: %d mappings, want 24", round, n)
		}
		race(t, s, 10, func(ctx context.Context, tx *choreo.Tx, i int) error {
			return tag.Unmap(ctx, tx, fmt.Sprintf("new %d %d", round, i))
		})
		if n := s.Count(`select count(*) from tags`); n != 0 {
			t.Fatalf("round %d: %d tags are left that no post has", round, n)
		}
	}
}

func TestUnmapSparesTagsOfOtherPosts(t *testing.T) {
	t.Parallel()
	s := stage(t)
	s.Given("do", func(ctx context.Context, tx *choreo.Tx) error {
		return errors.Join(tag.Map(ctx, tx, "one", []string{"a", "b"}), tag.Map(ctx, tx, "two", []string{"b", "c"}))
	})
	s.Given("do", func(ctx context.Context, tx *choreo.Tx) error { return tag.Unmap(ctx, tx, "one") })
	if n := s.Count(`select count(*) from tags where name in ('b', 'c')`); n != 2 {
		t.Errorf("%d of the other post's tags are left", n)
	}
	if n := s.Count(`select count(*) from tags`); n != 2 {
		t.Errorf("%d tags, want 2", n)
	}
}
