// Package play binds what is simulated to the simulation: the product's flow
// over a world in memory, the commands that people give, and what must hold in
// the end; and a workshop, a play of the engine's own.
package play

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"

	"troupe/choreo/embedded"
	"troupe/choreo/sim"
)

// Stage is a private Postgres, with a template for each play.
type Stage struct {
	dir      string
	postgres *embedded.Postgres
	admin    *sql.DB
	made     int
}

// Open starts it, in memory where there is room.
func Open(ctx context.Context) (_ *Stage, err error) {
	s := &Stage{}
	root := ""
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() && os.Getenv("TMPDIR") == "" {
		root = "/dev/shm"
	}
	if s.dir, err = os.MkdirTemp(root, "troupe-simulate-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	s.postgres, err = embedded.StartPostgres(ctx, embedded.PostgresOptions{Dir: s.dir, Fast: true, MaxConnections: 120})
	if err != nil {
		return nil, err
	}
	if s.admin, err = sql.Open("postgres", s.postgres.URL()); err != nil {
		return nil, err
	}
	// Nothing runs by itself in a simulation.
	for _, statement := range []string{
		`alter system set autovacuum = off`, `alter system set synchronous_commit = off`,
		// Whose rows come first depends on no one's speed.
		`alter system set max_parallel_workers_per_gather = 0`,
		`alter system set max_wal_size = '4GB'`, `alter system set checkpoint_timeout = '1h'`, `select pg_reload_conf()`,
	} {
		if _, err = s.admin.ExecContext(ctx, statement); err != nil {
			return nil, err
		}
	}
	if err = s.template(ctx, "product_template", migrateProduct); err != nil {
		return nil, err
	}
	return s, s.template(ctx, "workshop_template", migrateWorkshop)
}

// Close ends it and leaves nothing behind.
func (s *Stage) Close() error {
	var errs []error
	if s.admin != nil {
		errs = append(errs, s.admin.Close())
	}
	if s.postgres != nil {
		errs = append(errs, s.postgres.Stop(context.Background()))
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

func (s *Stage) urlOf(database string) (string, error) {
	u, err := url.Parse(s.postgres.URL())
	if err != nil {
		return "", err
	}
	u.Path = "/" + database
	q := u.Query()
	q.Set("binary_parameters", "yes")
	u.RawQuery = q.Encode()
	return u.String(), nil
}

func (s *Stage) template(ctx context.Context, name string, migrate func(context.Context, *sql.DB) error) error {
	if _, err := s.admin.ExecContext(ctx, "create database "+name); err != nil {
		return err
	}
	address, err := s.urlOf(name)
	if err != nil {
		return err
	}
	db, err := sql.Open("postgres", address)
	if err != nil {
		return err
	}
	return errors.Join(migrate(ctx, db), db.Close())
}

// run simulates a play in a database of its own.
func (s *Stage) run(ctx context.Context, template string, p sim.Play, o sim.Options) (*sim.Report, error) {
	s.made++
	name := fmt.Sprintf("run_%d", s.made)
	if _, err := s.admin.ExecContext(ctx, "create database "+name+" template "+template); err != nil {
		return nil, err
	}
	address, err := s.urlOf(name)
	if err != nil {
		return nil, err
	}
	o.Database = address
	kept := name + "_backup"
	o.Backup = func(ctx context.Context) error { return s.copyTo(ctx, kept, name) }
	o.Restore = func(ctx context.Context) error { return s.copyTo(ctx, name, kept) }
	report := sim.Run(ctx, p, o)
	return report, errors.Join(s.drop(context.WithoutCancel(ctx), name), s.drop(context.WithoutCancel(ctx), kept))
}

// copyTo puts a copy of a database that nobody uses in the place of another.
func (s *Stage) copyTo(ctx context.Context, name, from string) error {
	if err := s.drop(ctx, name); err != nil {
		return err
	}
	_, err := s.admin.ExecContext(ctx, "create database "+name+" template "+from)
	return err
}

func (s *Stage) drop(ctx context.Context, name string) error {
	_, err := s.admin.ExecContext(ctx, "drop database if exists "+name+" with (force)")
	return err
}
