package consume

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"

	"troupe/choreo"
	"troupe/choreo/steps"
	"troupe/choreo/wire"
)

// kept bounds what is kept of the data of a bad record.
const kept = 64 << 10

// quarantine keeps a record that no consumer can read, once for all of them.
func (a *Applier) quarantine(ctx context.Context, msg *message.Message, cause error) error {
	headers := map[string]string{}
	for k, v := range msg.Metadata {
		if wire.IsHeader(k) {
			headers[text(k)] = text(v)
		}
	}
	list, err := json.Marshal(headers)
	if err != nil {
		return fmt.Errorf("writing the headers of a bad record: %w", err)
	}
	partition, _ := strconv.Atoi(msg.Metadata[wire.Partition])       // 0 where it has none
	offset, _ := strconv.ParseInt(msg.Metadata[wire.Offset], 10, 64) // likewise
	data := msg.Payload[:min(len(msg.Payload), kept)]
	_, err = a.DB.Pool().ExecContext(ctx, `
		insert into choreo.quarantine (topic, topic_id, partition, record_offset, consumer, reason, headers, key, data, size, at)
		values ($1, $2, $3, $4, $5, $6, $7::jsonb, $8, $9, $10, choreo.troupe_now()) on conflict do nothing`,
		msg.Metadata[wire.Topic], msg.Metadata[wire.TopicID], partition, offset, a.Consumer.Name,
		text(cause.Error()), string(list), []byte(msg.Metadata[wire.Key]), []byte(data), len(msg.Payload))
	if err != nil {
		return fmt.Errorf("keeping a bad record: %w", err)
	}
	return nil
}

// text makes a string one that a text column can hold.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// unknown keeps an event of ours whose type this binary does not know for one
// that does; one of somebody else's is only counted.
func (a *Applier) unknown(ctx context.Context, m choreo.Meta, data []byte) (Outcome, error) {
	if m.Sequence == 0 || !strings.HasPrefix(m.Source, origin(a.DB.Source())) {
		return Unknown, nil
	}
	err := a.DB.InUnit(ctx, func(ctx context.Context, u *choreo.Unit) error {
		result, err := u.SQL().ExecContext(ctx, `insert into choreo.inbox (consumer, source, event_id, at)
			values ($1, $2, $3, $4) on conflict do nothing`, a.Consumer.Name, m.Source, m.ID, u.Clock())
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); n == 0 || err != nil {
			return err
		}
		return steps.Put(ctx, u, steps.New{Consumer: a.Consumer.Name, Meta: m, Data: data, FactKey: m.Key,
			Line: m.Key, State: steps.Unknown})
	})
	if err != nil {
		return "", fmt.Errorf("keeping event %s of the unknown type %s: %w", m.ID, m.Type, err)
	}
	return Unknown, nil
}
