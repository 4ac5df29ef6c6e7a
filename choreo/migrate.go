package choreo

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrate brings the engine's tables to this version and names the database,
// once. Several processes may call it at the same time.
func Migrate(ctx context.Context, pool *sql.DB) error {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	if err := MigrateFS(ctx, pool, "choreo_migrations", sub); err != nil {
		return err
	}
	id, err := newID(time.Now(), rand.Reader)
	if err != nil {
		return err
	}
	_, err = pool.ExecContext(ctx, `insert into choreo.source (database_id, epoch)
		values ($1, 1) on conflict do nothing`, id)
	if err != nil {
		return fmt.Errorf("naming the database: %w", err)
	}
	return nil
}

// MigrateFS runs goose migrations whose versions are kept in the given table,
// under a lock of the database.
func MigrateFS(ctx context.Context, pool *sql.DB, table string, files fs.FS) error {
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return err
	}
	store, err := database.NewStore(database.DialectPostgres, table)
	if err != nil {
		return err
	}
	p, err := goose.NewProvider("", pool, files, goose.WithSessionLocker(locker), goose.WithStore(store),
		goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("reading the migrations of %s: %w", table, err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrating %s: %w", table, err)
	}
	return nil
}
