package api

import (
	"context"
	"fmt"
	"time"

	"troupe/choreo"
	"troupe/domain/attachment"
)

// expireAtOnce bounds how many files one look finds.
const expireAtOnce = 200

// ExpireAttachments is the command expire-attachments, which nobody gives by HTTP:
// it removes the temporary files that are older than two days and that no post has
// or is about to have, each in a transaction of its own, and tells how many. The
// objects go first, unless the store lets them go by a rule of its own: what is
// left of a sweep that breaks off is found by the next. So are the temporary
// objects of files that have moved into a post, and of uploads that never ended.
func (s *Server) ExpireAttachments(ctx context.Context) (expired int, err error) {
	for {
		now, err := s.DB.Now(ctx)
		if err != nil {
			return expired, err
		}
		found, err := attachment.Expired(ctx, s.DB.Pool(), now, expireAtOnce)
		if err != nil {
			return expired, err
		}
		if len(found) == 0 {
			return expired, s.sweepObjects(ctx, now)
		}
		for _, a := range found {
			done, err := s.expire(ctx, a)
			if err != nil {
				return expired, fmt.Errorf("expiring attachment %s: %w", a.ID, err)
			}
			if done {
				expired++
			}
		}
	}
}

func (s *Server) expire(ctx context.Context, a attachment.Attachment) (done bool, err error) {
	if !s.Blobs.Expires() {
		if err := s.Blobs.Delete(ctx, a.TempKey()); err != nil {
			return false, err
		}
	}
	r, err := choreo.Commit(ctx, s.DB, "expire-attachments", func(ctx context.Context, tx *choreo.Tx) error {
		return attachment.Expire(ctx, tx, a.ID)
	})
	return r.EventID != "", err
}

// sweepObjects deletes what is left in the temporary folder and nobody needs.
func (s *Server) sweepObjects(ctx context.Context, now time.Time) error {
	if s.Blobs.Expires() {
		return nil
	}
	_, err := s.Blobs.Sweep(ctx, attachment.TempPrefix, now.Add(-attachment.Expires), func(key string) (bool, error) {
		return attachment.NeedsTemp(ctx, s.DB.Pool(), key)
	})
	return err
}
