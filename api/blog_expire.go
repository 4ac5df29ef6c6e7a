package api

import (
	"context"
	"fmt"

	"troupe/choreo"
	"troupe/domain/attachment"
)

// expireAtOnce bounds how many files one look finds.
const expireAtOnce = 200

// ExpireAttachments is the command expire-attachments, which nobody gives by HTTP:
// it removes the temporary files that are older than two days and that no post has
// or is about to have, each in a transaction of its own, and tells how many. The
// objects go first, unless the store lets them go by a rule of its own: what is
// left of a sweep that breaks off is found by the next.
func (s *Server) ExpireAttachments(ctx context.Context) (expired int, err error) {
	for {
		now, err := s.DB.Now(ctx)
		if err != nil {
			return expired, err
		}
		found, err := attachment.Expired(ctx, s.DB.Pool(), now, expireAtOnce)
		if err != nil || len(found) == 0 {
			return expired, err
		}
		for _, a := range found {
			if !s.Blobs.Expires() {
				if err := s.Blobs.Delete(ctx, a.TempKey()); err != nil {
					return expired, fmt.Errorf("expiring attachment %s: %w", a.ID, err)
				}
			}
			r, err := choreo.Commit(ctx, s.DB, "expire-attachments", func(ctx context.Context, tx *choreo.Tx) error {
				return attachment.Expire(ctx, tx, a.ID)
			})
			if err != nil {
				return expired, fmt.Errorf("expiring attachment %s: %w", a.ID, err)
			}
			if r.EventID != "" {
				expired++
			}
		}
	}
}
