package attachment

import (
	"context"
	"fmt"
	"time"

	"github.com/lib/pq"

	"troupe/choreo"
	"troupe/events"
)

// Expires is how long after its upload a temporary file goes that no post has
// taken. It is longer than Usable and the longest that a post is in processing
// together, so that none is taken any more by then.
const Expires = 48 * time.Hour

// TempPrefix is the folder of temporary files in the blob store.
const TempPrefix = tempFolder + "/"

// free are temporary files that no post has, nor is about to have.
const free = `post_id is null and not exists (select from blog_post_files f where f.attachment_id = a.attachment_id)`

// Expired finds temporary files that are to go, the oldest first, at most limit.
func Expired(ctx context.Context, q Querier, now time.Time, limit int) ([]Attachment, error) {
	rows, err := q.QueryContext(ctx, `select a.attachment_id from attachments a
		where a.uploaded_at < $1 and `+free+` order by a.uploaded_at, a.attachment_id limit $2`, now.Add(-Expires), limit)
	if err != nil {
		return nil, fmt.Errorf("looking for expired attachments: %w", err)
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return List(ctx, q, ids)
}

// Expire removes the row of a temporary file whose time is over. It does nothing
// where a post has it, or it is gone.
func Expire(ctx context.Context, tx *choreo.Tx, id string) error {
	if err := lock(ctx, tx, []string{id}); err != nil {
		return err
	}
	result, err := tx.ExecContext(ctx, `delete from attachments a where a.attachment_id = any($1::text[])
		and a.uploaded_at < $2 and `+free, pq.Array([]string{id}), tx.Now().Add(-Expires))
	if err != nil {
		return fmt.Errorf("removing attachment %s: %w", id, err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return err
	}
	tx.Emit(events.AttachmentExpired{AttachmentID: id})
	return nil
}

// NeedsTemp tells whether the temporary object under a key is still the file's:
// not where a post has it in its folder, or there is no such file.
func NeedsTemp(ctx context.Context, q Querier, key string) (bool, error) {
	found, err := List(ctx, q, []string{idOf("/" + key)})
	return err == nil && len(found) > 0 && found[0].PostID == "", err
}
