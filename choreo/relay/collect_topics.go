package relay

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// topics are those that were applied, and now; ErrStandby where another relay is
// active.
func (r *Relay) topics(ctx context.Context) (topics []string, now time.Time, err error) {
	if !r.verified.Load() {
		return nil, now, ErrStandby // until Kafka was read back, a lost timeline's facts look like those of others
	}
	rows, err := r.db.Pool().QueryContext(ctx, `select t.topic, choreo.troupe_now() from choreo.leases l left join choreo.topics t on true
		where l.name = 'relay' and l.holder = $1 and l.until > choreo.troupe_now() order by t.topic`, r.holder)
	if err != nil {
		return nil, now, fmt.Errorf("reading the topics to collect from: %w", err)
	}
	defer rows.Close()
	held := false
	for rows.Next() {
		held = true
		var topic sql.NullString
		if err := rows.Scan(&topic, &now); err != nil {
			return nil, now, err
		}
		if topic.Valid {
			topics = append(topics, topic.String)
		}
	}
	if err := rows.Err(); err != nil || held {
		return topics, now, err
	}
	return nil, now, ErrStandby
}
