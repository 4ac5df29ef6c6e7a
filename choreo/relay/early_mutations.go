//go:build mutations

package relay

import (
	"context"
	"database/sql"
	"strings"

	"troupe/choreo"
	"troupe/choreo/broker"
	"troupe/choreo/wire"
)

// publishEarly publishes facts whose sequences are not committed yet.
func (r *Relay) publishEarly(ctx context.Context, tx *sql.Tx, facts []*fact) {
	for _, f := range facts {
		var partition int32
		if tx.QueryRowContext(ctx, `select partition from choreo.streams where id = $1`, f.stream).Scan(&partition) != nil {
			return
		}
		m := choreo.Meta{Source: r.db.Source(), Sequence: f.sequence, ID: f.eventID, Type: f.typ, Key: f.key, Saga: f.saga,
			Causation: f.causation, Emitter: f.emitter, TraceParent: f.traceparent, Time: f.at}
		if f.ranIn != "" {
			m.RanIn = strings.Split(f.ranIn, ",")
		}
		_ = r.publisher.Publish(m.Topic(), broker.NewMessage(ctx, &broker.Batch{Records: []*wire.Record{wire.Encode(m, f.data, partition)}}))
	}
}
