package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"troupe/choreo"
	"troupe/choreo/choreotest"
	"troupe/choreo/embedded"
	"troupe/choreo/embedded/embeddedtest"
)

// Commands of operators find the private Postgres of a data folder, whether a
// `troupe up` runs on it or not.
func TestOperatorsFindThePrivatePostgres(t *testing.T) {
	t.Setenv("TROUPE_DATABASE_URL", "")
	dir := t.TempDir()
	o := operators{t}
	if out, code := o.run("audit", "list", "--up", dir); code != exitUsage {
		t.Errorf("of a folder without one: exit code %d, %s", code, out)
	}
	pg, err := embedded.StartPostgres(t.Context(), embedded.PostgresOptions{Dir: filepath.Join(dir, "postgres"), Fast: true})
	if err != nil {
		t.Fatal(err)
	}
	c := &config{Data: dir, Brokers: []string{"127.0.0.1:1"}}
	if err := c.writeRunning(); err != nil {
		t.Fatal(err)
	}
	o.must("migrate", "--up", dir)
	if out := o.must("source", "new", "--up", dir); !strings.Contains(out, "/1.\n") {
		t.Errorf("beside a running one: %s", out)
	}
	if err := pg.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	if _, runs := embedded.Running(c.postgres()); runs {
		t.Error("it runs, though it was stopped")
	}
	if out := o.must("source", "new", "--up", dir, "--execute"); !strings.HasSuffix(out, "/2\n") {
		t.Errorf("where it is stopped: %s", out)
	}
	if out := o.must("audit", "list", "--up", dir); !strings.Contains(out, "source new") {
		t.Errorf("the audit says %s", out)
	}
	if _, runs := embedded.Running(c.postgres()); runs {
		t.Error("a command has left it running")
	}
}

// News of the log are heard past a pooler, where its address is given.
func TestNewsAreHeardPastAPooler(t *testing.T) {
	url := embeddedtest.Database(t, nil)
	t.Setenv("TROUPE_DATABASE_URL", url)
	operators{t}.must("migrate")
	a, err := openApp(t.Context(), &config{DatabaseURL: url, DirectURL: url + "&application_name=past-the-pooler", Connections: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.close() })
	listener, notes := a.listen(choreo.LogChannel)
	t.Cleanup(func() { _ = listener.Close() })
	choreotest.Eventually(t, "it listens", func() bool {
		var n int
		err := a.pool.QueryRowContext(t.Context(), `select count(*) from pg_stat_activity
			where application_name = 'past-the-pooler' and datname = current_database() and query ilike 'listen%' and state = 'idle'`).Scan(&n)
		return err == nil && n == 1
	})
	if _, err := a.pool.ExecContext(t.Context(), `select pg_notify($1, '')`, choreo.LogChannel); err != nil {
		t.Fatal(err)
	}
	choreotest.Eventually(t, "it hears", func() bool {
		select {
		case <-notes:
			return true
		default:
			return false
		}
	})
}

// Every setting is a flag too; one that is secret reads a file, and is shown by
// no --help.
func TestSecretsAreFlagsThatTellNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("from-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]string{"@" + file: "from-a-file", "as-it-is": "as-it-is"} {
		var got string
		if err := (secret{&got}).Set(given); err != nil || got != want {
			t.Errorf("%s is %q, %v", given, got, err)
		}
	}
	t.Setenv("TROUPE_STAFF_TOKEN", "hunter2-hunter2")
	t.Setenv("TROUPE_DATABASE_URL", "postgres://u:hunter2-hunter2@127.0.0.1:1/none")
	if out := (operators{t}).must("api", "--help"); strings.Contains(out, "hunter2") || !strings.Contains(out, "--staff-token") || !strings.Contains(out, "Exit codes:") {
		t.Errorf("the help says %s", out)
	}
	if out, code := (operators{t}).run("api", "--card-key", "@/nowhere/at/all"); code != exitUsage {
		t.Errorf("a file that is not there: exit code %d, %s", code, out)
	}
}
