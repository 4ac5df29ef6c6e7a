// Package tag is the tags of posts: one per name, however it is written and
// however many posts race for it. A tag is there as long as a post has it.
package tag

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/lib/pq"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"troupe/choreo"
)

// MaxLength is how many characters a name may have.
const MaxLength = 64

// ErrName is a name that no tag can have.
var ErrName = fmt.Errorf("a tag has 1 to %d characters, none of them a control character", MaxLength)

// Fold is the one form of a name: trimmed, NFC, case-folded.
func Fold(name string) (string, error) {
	folded := norm.NFC.String(cases.Fold().String(norm.NFC.String(strings.TrimSpace(name))))
	if n := utf8.RuneCountInString(folded); n == 0 || n > MaxLength || strings.ContainsFunc(folded, unicode.IsControl) {
		return "", ErrName
	}
	return folded, nil
}

// NameError is a name that no tag can have: which of those given.
type NameError struct{ Index int }

func (*NameError) Error() string { return ErrName.Error() }
func (*NameError) Unwrap() error { return ErrName }

// Field is the place of the name in the body of a command.
func (e *NameError) Field() string { return fmt.Sprintf("tagNames[%d]", e.Index) }

// FoldAll folds names, each once, in their order. An error joins a *NameError
// for each that no tag can have.
func FoldAll(names []string) ([]string, error) {
	folded := make([]string, 0, len(names))
	var bad []error
	for i, name := range names {
		f, err := Fold(name)
		if err != nil {
			bad = append(bad, &NameError{i})
		} else if !slices.Contains(folded, f) {
			folded = append(folded, f)
		}
	}
	return folded, errors.Join(bad...)
}

// Map gives the post the tags of these folded names, each once, and creates
// those that are missing. It may be repeated; tags that the post has already
// stay.
func Map(ctx context.Context, tx *choreo.Tx, postID string, names []string) error {
	// Rows are inserted and locked in the order of their names, so that posts
	// that share several do not deadlock. A tag that is seen but not held was
	// removed in between and is created in the next round.
	for held := -1; held < len(names); {
		_, err := tx.ExecContext(ctx, `insert into tags (name, created_at)
			select name, $2 from unnest($1::text[]) name order by name collate "C"
			on conflict do nothing`, pq.Array(names), tx.Now())
		if err != nil {
			return fmt.Errorf("creating tags: %w", err)
		}
		err = tx.QueryRowContext(ctx, `select count(*) from (
			select from tags where name = any($1::text[]) order by name for key share) held`,
			pq.Array(names)).Scan(&held)
		if err != nil {
			return fmt.Errorf("holding tags: %w", err)
		}
	}
	_, err := tx.ExecContext(ctx, `insert into blog_post_tags (post_id, tag_name, position)
		select $1, name, position from unnest($2::text[]) with ordinality as asked (name, position)
		on conflict do nothing`, postID, pq.Array(names))
	if err != nil {
		return fmt.Errorf("mapping tags to post %s: %w", postID, err)
	}
	return nil
}

// Unmap takes all its tags from the post; one that no post has is gone.
func Unmap(ctx context.Context, tx *choreo.Tx, postID string) error {
	// Map holds its tags FOR KEY SHARE until it commits: once they are locked
	// here, the next statement sees every mapping there is.
	_, err := tx.ExecContext(ctx, `select from tags t join blog_post_tags m on m.tag_name = t.name
		where m.post_id = $1 order by t.name for update of t`, postID)
	if err != nil {
		return fmt.Errorf("locking the tags of post %s: %w", postID, err)
	}
	var names []string
	err = tx.QueryRowContext(ctx, `with gone as (delete from blog_post_tags where post_id = $1 returning tag_name)
		select coalesce(array_agg(tag_name), '{}') from gone`, postID).Scan(pq.Array(&names))
	if err != nil {
		return fmt.Errorf("unmapping the tags of post %s: %w", postID, err)
	}
	_, err = tx.ExecContext(ctx, `delete from tags where name = any($1::text[])
		and not exists (select from blog_post_tags where tag_name = name)`, pq.Array(names))
	if err != nil {
		return fmt.Errorf("removing unused tags: %w", err)
	}
	return nil
}

// Mapped tells whether the post has every tag of these folded names.
func Mapped(ctx context.Context, tx *choreo.Tx, postID string, names []string) (all bool, err error) {
	err = tx.QueryRowContext(ctx, `select count(*) = cardinality($2::text[]) from blog_post_tags
		where post_id = $1 and tag_name = any($2::text[])`, postID, pq.Array(names)).Scan(&all)
	if err != nil {
		return false, fmt.Errorf("reading the tags of post %s: %w", postID, err)
	}
	return all, nil
}
