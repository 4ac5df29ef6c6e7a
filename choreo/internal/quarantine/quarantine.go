// Package quarantine keeps records that nobody could read, for a look.
package quarantine

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"troupe/choreo/wire"
)

// kept bounds what is kept of the data of a bad record.
const kept = 64 << 10

// Keep keeps a record that the named part met first, once for all of them.
func Keep(ctx context.Context, tx *sql.Tx, by string, r *wire.Record, why error, at time.Time) error {
	headers := map[string]string{}
	for _, h := range r.Headers {
		headers[text(h.Name)] = text(string(h.Value))
	}
	list, err := json.Marshal(headers)
	if err != nil {
		return fmt.Errorf("writing the headers of a bad record: %w", err)
	}
	_, err = tx.ExecContext(ctx, `
		insert into choreo.quarantine (topic, topic_id, partition, record_offset, consumer, reason, headers, key, data, size, at)
		values ($1, $2, $3, $4, $5, $6, $7::jsonb, $8, $9, $10, $11) on conflict do nothing`,
		r.Topic, r.TopicID, r.Partition, r.Offset, by, text(why.Error()), string(list),
		r.Key, r.Value[:min(len(r.Value), kept)], len(r.Value), at)
	if err != nil {
		return fmt.Errorf("keeping a bad record: %w", err)
	}
	return nil
}

// text makes a string one that a text column can hold.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
