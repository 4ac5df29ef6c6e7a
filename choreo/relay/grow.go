package relay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"troupe/choreo"
	"troupe/choreo/broker"
)

// ErrNotDrained is a topic that cannot grow yet: somebody has not taken all of it.
var ErrNotDrained = errors.New("the topic was not drained in time, and has not grown")

// holdFor is how long a topic is held when the one who holds it is gone.
const holdFor = 15 * time.Second

// Grow gives a topic more partitions, and reorders no key: its facts are held in
// the outbox (commands go on being accepted, and other topics being relayed)
// until what was relayed has been taken by every registered consumer, at most for
// as long as patience says; then the topic grows, and they go on. A relay and all
// consumers of the topic must run. When it fails, nothing has changed.
func Grow(ctx context.Context, db *choreo.DB, c broker.Config, topic string, partitions int, patience time.Duration) (err error) {
	counts, err := broker.CountPartitions(ctx, c, []string{topic})
	if err != nil {
		return err
	}
	switch now := counts[topic]; {
	case now == 0:
		return fmt.Errorf("there is no topic %s", topic)
	case now >= partitions:
		return fmt.Errorf("topic %s has %d partitions already: it can only grow", topic, now)
	}
	defer func() {
		if err != nil {
			release := context.WithoutCancel(ctx)
			_, also := db.Pool().ExecContext(release, `update choreo.topics set held_until = null where topic = $1`, topic)
			err = errors.Join(err, also)
		}
	}()
	if err := hold(ctx, db, topic); err != nil {
		return err
	}
	// Whoever was sequencing when the hold was not seen yet has ended now.
	if _, err := db.Pool().ExecContext(ctx, `select from choreo.leases where name = 'relay' for update`); err != nil {
		return fmt.Errorf("waiting for the sequencer: %w", err)
	}
	if err := awaitDrained(ctx, db, topic, patience); err != nil {
		return err
	}
	if err := broker.GrowTopic(ctx, c, topic, partitions); err != nil {
		return err
	}
	err = db.InUnit(ctx, func(ctx context.Context, u *choreo.Unit) error {
		_, err := u.SQL().ExecContext(ctx, `update choreo.topics set partitions = $2, held_until = null where topic = $1`, topic, partitions)
		return errors.Join(err, u.Audit(ctx, "topics grow", topic, int64(partitions), fmt.Sprintf("from %d partitions", counts[topic])))
	})
	if err != nil {
		return fmt.Errorf("writing down the partitions of %s (run `troupe topics apply` to make up for it): %w", topic, err)
	}
	return nil
}

func hold(ctx context.Context, db *choreo.DB, topic string) error {
	_, err := db.Pool().ExecContext(ctx, `update choreo.topics set held_until = choreo.troupe_now() + $2 * interval '1 second'
		where topic = $1`, topic, holdFor.Seconds())
	if err != nil {
		return fmt.Errorf("holding topic %s: %w", topic, err)
	}
	return nil
}

func awaitDrained(ctx context.Context, db *choreo.DB, topic string, patience time.Duration) error {
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		who, err := lagging(ctx, db, topic)
		if err != nil || who == "" {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w: %s has not taken all of %s", ErrNotDrained, who, topic)
		}
		if err := hold(ctx, db, topic); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// lagging names somebody who has not taken all of a topic that was sequenced,
// empty if there is nobody.
func lagging(ctx context.Context, db *choreo.DB, topic string) (string, error) {
	rows, err := db.Pool().QueryContext(ctx, `select s.source, s.partition, s.head, f.sequence, coalesce(k.consumer, '')
		from choreo.streams s join choreo.forwarded f on f.stream = s.id
		left join choreo.consumers k on s.topic = any (k.topics)
		where s.topic = $1 and s.head > 0 order by 5, 2`, topic)
	if err != nil {
		return "", fmt.Errorf("asking who has taken %s: %w", topic, err)
	}
	defer rows.Close()
	taken, err := watermarks(ctx, db)
	if err != nil {
		return "", err
	}
	for rows.Next() {
		t := taking{topic: topic}
		var head, forwarded int64
		if err := rows.Scan(&t.source, &t.partition, &head, &forwarded, &t.consumer); err != nil {
			return "", err
		}
		switch {
		case t.source == db.Source() && forwarded < head:
			return "the relay", nil
		case t.consumer != "" && taken[t] < head:
			return "the consumer " + t.consumer, nil
		}
	}
	return "", rows.Err()
}
