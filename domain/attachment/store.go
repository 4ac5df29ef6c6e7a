package attachment

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"troupe/choreo"
	"troupe/events"
)

// Querier is a pool or a transaction.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Upload stores the row of a file whose bytes stand under its TempKey.
func Upload(ctx context.Context, tx *choreo.Tx, a Attachment) error {
	_, err := tx.ExecContext(ctx, `insert into attachments (attachment_id, owner_id, name, mime_type, size, uploaded_at)
		values ($1, $2, $3, $4, $5, $6)`, a.ID, a.OwnerID, a.Name, a.MimeType, a.Size, tx.Now())
	if err != nil {
		return fmt.Errorf("storing attachment %s: %w", a.ID, err)
	}
	tx.Emit(events.AttachmentUploaded{AttachmentID: a.ID, AccountID: a.OwnerID, MimeType: a.MimeType, Size: a.Size})
	return nil
}

// List reads the attachments with these ids, in their order; those that are
// not there are left out.
func List(ctx context.Context, q Querier, ids []string) ([]Attachment, error) {
	rows, err := q.QueryContext(ctx, `select a.attachment_id, a.owner_id, a.name, a.mime_type, a.size, a.uploaded_at,
			coalesce(a.post_id, '')
		from unnest($1::text[]) with ordinality as asked (id, n) join attachments a on a.attachment_id = asked.id
		order by n`, pq.Array(ids))
	if err != nil {
		return nil, fmt.Errorf("reading attachments: %w", err)
	}
	defer rows.Close()
	all := []Attachment{}
	for rows.Next() {
		var a Attachment
		if err := rows.Scan(&a.ID, &a.OwnerID, &a.Name, &a.MimeType, &a.Size, &a.UploadedAt, &a.PostID); err != nil {
			return nil, fmt.Errorf("reading attachments: %w", err)
		}
		all = append(all, a)
	}
	return all, rows.Err()
}

// Find reads one attachment.
func Find(ctx context.Context, q Querier, id string) (Attachment, error) {
	if uuid.Validate(id) != nil {
		return Attachment{}, ErrNotFound
	}
	found, err := List(ctx, q, []string{id})
	if err != nil {
		return Attachment{}, err
	}
	if len(found) == 0 {
		return Attachment{}, ErrNotFound
	}
	return found[0], nil
}

// URLError is a URL that cannot be used: which of those given, and why.
type URLError struct {
	Index int
	err   error
}

func (e *URLError) Error() string { return e.err.Error() }
func (e *URLError) Unwrap() error { return e.err }

// Field is the place of the URL in the body of the command.
func (e *URLError) Field() string { return fmt.Sprintf("fileUrls[%d]", e.Index) }

// Reserve finds the author's temporary files by their URLs, each once, and
// keeps them for the post: of posts that race for a file one gets it. An error
// joins a *URLError for each URL that is not usable.
func Reserve(ctx context.Context, tx *choreo.Tx, postID, authorID string, urls []string) ([]Attachment, error) {
	ids := make([]string, len(urls))
	for i, u := range urls {
		ids[i] = idOf(u)
	}
	found, err := List(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	kept, err := keep(ctx, tx, postID, ids)
	if err != nil {
		return nil, err
	}
	files := []Attachment{}
	var unusable []error
	for i, u := range urls {
		at := slices.IndexFunc(found, func(a Attachment) bool { return a.TempURL() == u })
		err := errNotYours
		if at >= 0 {
			err = found[at].usableBy(authorID, tx.Now(), kept)
		}
		switch {
		case err != nil:
			unusable = append(unusable, &URLError{i, err})
		case !slices.Contains(files, found[at]):
			files = append(files, found[at])
		}
	}
	return files, errors.Join(unusable...)
}

// keep reserves for the post what is there and free, in the order of the ids,
// and tells which.
func keep(ctx context.Context, tx *choreo.Tx, postID string, ids []string) (kept []string, err error) {
	err = tx.QueryRowContext(ctx, `with kept as (
			insert into blog_post_files (attachment_id, post_id)
			select attachment_id, $2 from attachments where attachment_id = any($1::text[]) order by attachment_id
			on conflict do nothing returning attachment_id)
		select coalesce(array_agg(attachment_id), '{}') from kept`, pq.Array(ids), postID).Scan(pq.Array(&kept))
	if err != nil {
		return nil, fmt.Errorf("reserving files for post %s: %w", postID, err)
	}
	return kept, nil
}

// MoveToPost notes that the files stand in the post's folder, and maps them to
// it. It may be repeated.
func MoveToPost(ctx context.Context, tx *choreo.Tx, postID string, ids []string) error {
	if err := lock(ctx, tx, ids); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `update attachments set post_id = $1
		where attachment_id = any($2::text[]) and post_id is null`, postID, pq.Array(ids))
	if err != nil {
		return fmt.Errorf("moving attachments to post %s: %w", postID, err)
	}
	_, err = tx.ExecContext(ctx, `insert into blog_post_attachments (post_id, attachment_id)
		select $1, unnest($2::text[]) on conflict do nothing`, postID, pq.Array(ids))
	if err != nil {
		return fmt.Errorf("mapping attachments to post %s: %w", postID, err)
	}
	return nil
}

// Mapped tells whether the post has every one of these files.
func Mapped(ctx context.Context, tx *choreo.Tx, postID string, ids []string) (all bool, err error) {
	err = tx.QueryRowContext(ctx, `select count(*) = cardinality($2::text[]) from blog_post_attachments
		where post_id = $1 and attachment_id = any($2::text[])`, postID, pq.Array(ids)).Scan(&all)
	if err != nil {
		return false, fmt.Errorf("reading the attachments of post %s: %w", postID, err)
	}
	return all, nil
}

// ReturnFromPost makes the files temporary again that stand in the post's
// folder, and unmaps them.
func ReturnFromPost(ctx context.Context, tx *choreo.Tx, postID string, ids []string) error {
	if err := lock(ctx, tx, ids); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `update attachments set post_id = null
		where attachment_id = any($2::text[]) and post_id = $1`, postID, pq.Array(ids))
	if err != nil {
		return fmt.Errorf("returning the attachments of post %s: %w", postID, err)
	}
	return unmap(ctx, tx, postID)
}

// Remove deletes the rows of a post's files.
func Remove(ctx context.Context, tx *choreo.Tx, postID string, ids []string) error {
	if err := lock(ctx, tx, ids); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `delete from attachments where attachment_id = any($1::text[])`, pq.Array(ids))
	if err != nil {
		return fmt.Errorf("removing the attachments of post %s: %w", postID, err)
	}
	return unmap(ctx, tx, postID)
}

// unmap takes its files from the post. Other posts may have them then.
func unmap(ctx context.Context, tx *choreo.Tx, postID string) error {
	for _, table := range []string{"blog_post_attachments", "blog_post_files"} {
		if _, err := tx.ExecContext(ctx, `delete from `+table+` where post_id = $1`, postID); err != nil {
			return fmt.Errorf("unmapping the attachments of post %s: %w", postID, err)
		}
	}
	return nil
}

// lock locks the rows in the order of their ids.
func lock(ctx context.Context, tx *choreo.Tx, ids []string) error {
	_, err := tx.ExecContext(ctx, `select from attachments where attachment_id = any($1::text[])
		order by attachment_id for update`, pq.Array(ids))
	if err != nil {
		return fmt.Errorf("locking attachments: %w", err)
	}
	return nil
}
