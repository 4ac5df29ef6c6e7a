// Package domain holds the aggregates, one package each below, and the
// migrations of the tables that they share a database with.
package domain

import (
	"context"
	"database/sql"
	"embed"
	"io/fs"

	"troupe/choreo"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrate brings the engine's tables, then those of the aggregates, to this
// version. Several processes may call it at the same time.
func Migrate(ctx context.Context, pool *sql.DB) error {
	if err := choreo.Migrate(ctx, pool); err != nil {
		return err
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	return choreo.MigrateFS(ctx, pool, "domain_migrations", files)
}
