package relay_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"troupe/choreo"
	"troupe/choreo/choreotest"
	"troupe/choreo/embedded"
	"troupe/choreo/relay"
	"troupe/choreo/wire"
)

// Postgres dies right after a relay has published, and its operator has switched
// synchronous commits off: what was published had been committed for good, so
// that no sequence is given to a second fact.
func TestWhatWasPublishedSurvivesACrashOfPostgres(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start := func() (*embedded.Postgres, *choreo.DB, int) {
		pg, err := embedded.StartPostgres(t.Context(), embedded.PostgresOptions{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { // the test's own context has ended by then
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_ = pg.Stop(ctx)
		})
		pool, err := sql.Open("postgres", pg.URL())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = pool.Close() })
		for _, q := range []string{`alter system set synchronous_commit = off`, `alter system set wal_writer_delay = '10s'`, `select pg_reload_conf()`} {
			if _, err := pool.ExecContext(t.Context(), q); err != nil {
				t.Fatal(err)
			}
		}
		if err := choreo.Migrate(t.Context(), pool); err != nil {
			t.Fatal(err)
		}
		flow, err := choreo.NewFlow(choreo.Command("tick").Emits(ticked{}))
		if err != nil {
			t.Fatal(err)
		}
		db, err := choreo.Open(t.Context(), pool, flow, choreo.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pool.ExecContext(t.Context(), `insert into choreo.topics values ('clocks', 3) on conflict do nothing`); err != nil {
			t.Fatal(err)
		}
		if _, err := pool.ExecContext(t.Context(), `checkpoint`); err != nil {
			t.Fatal(err)
		}
		return pg, db, stopWriter(t, pool)
	}
	p := &press{failed: map[string]bool{}, out: map[string][]string{}, records: map[string][]*wire.Record{}}
	for n := range 2 {
		pg, db, writer := start()
		if _, err := choreo.Commit(t.Context(), db, "tick", func(_ context.Context, tx *choreo.Tx) error {
			tx.Emit(ticked{"big-ben", n, ""})
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		r := relay.New(db, p, p, slog.New(slog.DiscardHandler))
		choreotest.Eventually(t, "the lease of the relay before has ended", func() bool {
			err := drain(t, r)
			if err != nil && !errors.Is(err, relay.ErrStandby) {
				t.Fatal(err)
			}
			return err == nil
		})
		for _, pid := range []int{pg.PID(), writer} {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		<-pg.Done()
		_ = pg.Stop(t.Context())
	}
	ids := map[int64]string{}
	for _, records := range p.records {
		for _, record := range records {
			m, _, err := wire.Parse(record)
			if err != nil {
				t.Fatal(err)
			}
			if ids[m.Sequence] != "" && ids[m.Sequence] != m.ID {
				t.Errorf("sequence %d was given to two facts", m.Sequence)
			}
			ids[m.Sequence] = m.ID
		}
	}
	if len(ids) != 2 {
		t.Errorf("%d facts were published; want 2", len(ids))
	}
}

// stopWriter stops the process of Postgres that writes its log now and then:
// from then on nothing but a synchronous commit writes it. It must not stop with
// a lock, or waiting for one: then others would wait for it.
func stopWriter(t *testing.T, pool *sql.DB) (pid int) {
	t.Helper()
	choreotest.Eventually(t, "the log writer of Postgres rests", func() bool {
		return pool.QueryRowContext(t.Context(), `select pid from pg_stat_activity
			where backend_type = 'walwriter' and wait_event = 'WalWriterMain'`).Scan(&pid) == nil
	})
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	return pid
}
