package consume

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"troupe/choreo"
)

// kept bounds what is kept of the data of a bad record.
const kept = 64 << 10

// quarantine keeps a record that no consumer can read, once for all of them.
func (t *transaction) quarantine(ctx context.Context, u *choreo.Unit, v *arrival) error {
	r := v.record
	if r == nil { // from our own log: it stays there
		return nil
	}
	headers := map[string]string{}
	for _, h := range r.Headers {
		headers[text(h.Name)] = text(string(h.Value))
	}
	list, err := json.Marshal(headers)
	if err != nil {
		return fmt.Errorf("writing the headers of a bad record: %w", err)
	}
	_, err = u.SQL().ExecContext(ctx, `
		insert into choreo.quarantine (topic, topic_id, partition, record_offset, consumer, reason, headers, key, data, size, at)
		values ($1, $2, $3, $4, $5, $6, $7::jsonb, $8, $9, $10, $11) on conflict do nothing`,
		r.Topic, r.TopicID, r.Partition, r.Offset, t.Consumer.Name, text(v.bad.Error()), string(list),
		r.Key, r.Value[:min(len(r.Value), kept)], len(r.Value), u.Clock())
	if err != nil {
		return fmt.Errorf("keeping a bad record: %w", err)
	}
	return nil
}

// text makes a string one that a text column can hold.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
