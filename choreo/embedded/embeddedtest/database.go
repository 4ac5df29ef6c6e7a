package embeddedtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/lib/pq"
)

// patience bounds each thing asked of the server, on a busy machine too.
const patience = time.Minute

// Migrate fills an empty database. Nil leaves it empty.
type Migrate func(ctx context.Context, db *sql.DB) error

// Database makes a database for this test, as migrate fills it, and drops it
// when the test ends. The migration runs once per test binary and function; each
// database is a copy of what it made. (A closure counts as a new function each
// time it is made, so hand over a named one where speed matters.)
func Database(t testing.TB, migrate Migrate) (url string) {
	t.Helper()
	s, err := testServer()
	if err != nil {
		t.Fatalf("a Postgres for tests: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	template, err := s.template(ctx, migrate)
	if err != nil {
		t.Fatalf("migrating the template database: %v", err)
	}
	name := s.newName()
	if err := s.create(ctx, name, template); err != nil {
		t.Fatalf("copying the template database: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.drop(ctx, name); err != nil {
			t.Errorf("dropping the test's database: %v", err)
		}
	})
	return s.urlOf(name)
}

// testServer is the server of this process. It is the one global of the package:
// a test binary has no other place to keep what its tests share.
var testServer = sync.OnceValues(openServer)

type server struct {
	url   url.URL
	admin *sql.DB
	run   string // in the names of this process's databases

	mu        sync.Mutex
	templates map[unsafe.Pointer]*template
}

type template struct {
	migrate Migrate // kept, so that no other function gets its address
	once    sync.Once
	name    string
	err     error
}

func openServer() (*server, error) {
	address, shared := os.Getenv("TROUPE_TEST_DATABASE_URL"), true
	if address == "" {
		var err error
		if address, err = startPrivate(); err != nil {
			return nil, err
		}
		shared = false
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "" {
		return nil, errors.New("TROUPE_TEST_DATABASE_URL is not of the form postgres://user:password@host:port/database")
	}
	q := u.Query()
	q.Set("binary_parameters", "yes")
	u.RawQuery = q.Encode()
	s := &server{url: *u, run: token(), templates: map[unsafe.Pointer]*template{}}
	if s.admin, err = sql.Open("postgres", u.String()); err != nil {
		return nil, err
	}
	s.admin.SetMaxOpenConns(4) // more copies at a time only wait for the disk
	if shared {
		err = s.sweep()
	}
	return s, err
}

// template makes the template database of a migration, once.
func (s *server) template(ctx context.Context, migrate Migrate) (string, error) {
	if migrate == nil {
		return "template0", nil
	}
	// The address of the closure and not, as package reflect has it, of its code:
	// that is the same for closures over different values.
	id := *(*unsafe.Pointer)(unsafe.Pointer(&migrate))
	s.mu.Lock()
	tm := s.templates[id]
	if tm == nil {
		tm = &template{migrate: migrate, name: s.newName()}
		s.templates[id] = tm
	}
	s.mu.Unlock()
	tm.once.Do(func() { tm.err = s.fill(ctx, tm.name, migrate) })
	return tm.name, tm.err
}

func (s *server) fill(ctx context.Context, name string, migrate Migrate) error {
	if err := s.create(ctx, name, "template0"); err != nil {
		return err
	}
	db, err := sql.Open("postgres", s.urlOf(name))
	if err != nil {
		return err
	}
	if err := errors.Join(migrate(ctx, db), db.Close()); err != nil {
		return err
	}
	// Nobody, not even autovacuum, may be in a database while it is copied.
	_, err = s.admin.ExecContext(ctx, "ALTER DATABASE "+name+" ALLOW_CONNECTIONS false")
	return err
}

// create copies a database, again while somebody is still leaving the template.
func (s *server) create(ctx context.Context, name, template string) error {
	for {
		_, err := s.admin.ExecContext(ctx, "CREATE DATABASE "+name+" TEMPLATE "+template)
		var pe *pq.Error
		if !errors.As(err, &pe) || pe.Code.Name() != "object_in_use" {
			return err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

func (s *server) drop(ctx context.Context, name string) error {
	_, err := s.admin.ExecContext(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
	return err
}

func (s *server) newName() string { return fmt.Sprintf("troupe_test_%s_%s", s.run, token()) }

func (s *server) urlOf(name string) string {
	u := s.url
	u.Path = "/" + name
	return u.String()
}

// sweep drops what earlier test processes left on a shared server: their
// templates, and the databases of those that were killed. A process that lives
// holds an advisory lock named after its run, on a connection of its own.
func (s *server) sweep() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := s.admin.Conn(context.Background()) // never closed: it holds the lock
	if err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock(hashtext($1))", s.run); err != nil {
		return err
	}
	rows, err := s.admin.QueryContext(ctx, `SELECT datname, split_part(datname, '_', 3) FROM pg_database WHERE datname LIKE 'troupe\_test\_%'`)
	if err != nil {
		return err
	}
	defer rows.Close()
	left := map[string][]string{}
	for rows.Next() {
		var name, run string
		if err := rows.Scan(&name, &run); err != nil {
			return err
		}
		left[run] = append(left[run], name)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for run, names := range left {
		if err := s.sweepRun(ctx, run, names); err != nil {
			return fmt.Errorf("dropping databases of an earlier test run: %w", err)
		}
	}
	return nil
}

func (s *server) sweepRun(ctx context.Context, run string, names []string) error {
	conn, err := s.admin.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	var dead bool
	err = conn.QueryRowContext(ctx, "SELECT pg_try_advisory_lock(hashtext($1))", run).Scan(&dead)
	if err != nil || !dead {
		return err
	}
	for _, name := range names {
		if _, err := conn.ExecContext(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			return err
		}
	}
	_, err = conn.ExecContext(ctx, "SELECT pg_advisory_unlock(hashtext($1))", run)
	return err
}
