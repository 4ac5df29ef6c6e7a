package handlers

import (
	"context"
	"database/sql"

	"troupe/choreo/view"
	"troupe/domain"
)

// Migrate brings a database that holds everything, views as well, to this
// version.
func Migrate(ctx context.Context, pool *sql.DB) error {
	if err := domain.Migrate(ctx, pool); err != nil {
		return err
	}
	flow, err := Flow(Outside{})
	if err != nil {
		return err
	}
	return view.Migrate(ctx, pool, flow)
}
