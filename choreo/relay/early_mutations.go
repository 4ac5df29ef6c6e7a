//go:build mutations

package relay

import (
	"context"
	"database/sql"

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
		m := f.meta(r.db.Source())
		_ = r.publisher.Publish(m.Topic(), broker.NewMessage(ctx, &broker.Batch{Records: []*wire.Record{wire.Encode(m, f.data, partition)}}))
	}
}
