package sandbox

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// lockID is the advisory lock of the migration: "sandbox" in ASCII, so that it
// does not wait for the engine's.
const lockID = 0x73616e64626f78

// createSchema may race with another sandbox that starts: IF NOT EXISTS does
// not keep Postgres from failing the later one.
const createSchema = `DO $$ BEGIN
	CREATE SCHEMA IF NOT EXISTS sandbox;
EXCEPTION WHEN unique_violation OR duplicate_schema THEN NULL;
END $$`

// Migrate brings the schema "sandbox" up to date, apart from the engine's
// migrations: it has a version table of its own.
func Migrate(ctx context.Context, db *sql.DB) error {
	if _, err := db.ExecContext(ctx, createSchema); err != nil {
		return fmt.Errorf("creating the sandbox's schema: %w", err)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("reading the sandbox's migrations: %w", err)
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(lockID), lock.WithLockTimeout(1, 60)) // tries each second for a minute
	if err != nil {
		return fmt.Errorf("migrating the sandbox: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithTableName("sandbox.goose_version"), goose.WithSessionLocker(locker), goose.WithLogger(goose.NopLogger()),
		goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("reading the sandbox's migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrating the sandbox: %w", err)
	}
	return nil
}
