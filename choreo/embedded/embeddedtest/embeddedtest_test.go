package embeddedtest_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"troupe/choreo/embedded"
	"troupe/choreo/embedded/embeddedtest"
)

func items(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, `CREATE TABLE item (id int PRIMARY KEY); INSERT INTO item VALUES (1)`)
	return err
}

func open(t *testing.T, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func count(t *testing.T, db *sql.DB, query string) (n int) {
	t.Helper()
	if err := db.QueryRow(query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestDatabasesAreCopiesApart(t *testing.T) {
	t.Parallel()
	for i := range 12 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			db := open(t, embeddedtest.Database(t, items))
			if _, err := db.Exec(`INSERT INTO item VALUES (2)`); err != nil {
				t.Fatal(err)
			}
			if n := count(t, db, `SELECT count(*) FROM item`); n != 2 {
				t.Fatalf("%d items; want the migrated one and this test's", n)
			}
		})
	}
}

func TestDatabaseIsMigratedOncePerFunction(t *testing.T) {
	t.Parallel()
	var runs int
	table := func(name string) embeddedtest.Migrate {
		return func(ctx context.Context, db *sql.DB) error {
			runs++
			_, err := db.ExecContext(ctx, `CREATE TABLE `+name+` ()`)
			return err
		}
	}
	this, that := table("this"), table("that")
	for range 3 {
		for name, migrate := range map[string]embeddedtest.Migrate{"this": this, "that": that} {
			db := open(t, embeddedtest.Database(t, migrate))
			if n := count(t, db, `SELECT count(*) FROM pg_tables WHERE tablename = '`+name+`'`); n != 1 {
				t.Errorf("no table %s: the database is another function's", name)
			}
		}
	}
	if runs != 2 {
		t.Errorf("%d migrations were run; want one for each function", runs)
	}
	if n := count(t, open(t, embeddedtest.Database(t, nil)), `SELECT count(*) FROM pg_tables WHERE schemaname = 'public'`); n != 0 {
		t.Errorf("%d tables without a migration", n)
	}
}

func TestDatabaseIsDropped(t *testing.T) {
	t.Parallel()
	var url string
	t.Run("user", func(t *testing.T) {
		url = embeddedtest.Database(t, items)
		if _, err := open(t, url).Conn(t.Context()); err != nil { // left open: the drop does not wait for it
			t.Fatal(err)
		}
	})
	if err := open(t, url).Ping(); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("after the test its database says: %v", err)
	}
}

// Several test binaries may use one server at a time, and clear up after those
// that could not do it themselves.
func TestSharedServer(t *testing.T) {
	t.Parallel()
	server, err := embedded.StartPostgres(t.Context(), embedded.PostgresOptions{Dir: tempDir(t), Fast: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop(context.Background()) })
	shared := "TROUPE_TEST_DATABASE_URL=" + server.URL()
	db := open(t, server.URL())
	left := func() int {
		return count(t, db, `SELECT count(*) FROM pg_database WHERE datname LIKE 'troupe\_test%'`)
	}

	_, killed := startHolder(t, shared)
	_, living := startHolder(t, shared)
	killed()
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			cmd := exec.Command(os.Args[0], "-test.run=^TestDatabasesAreCopiesApart$")
			cmd.Env = append(os.Environ(), shared)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("a test binary on a shared server: %v\n%s", err, out)
			}
		})
	}
	all.Wait()
	living()
	if left() == 0 {
		t.Fatal("nothing is left over: sweeping is not tested")
	}
	// The server notices the end of the killed one's connections by itself.
	deadline := time.Now().Add(20 * time.Second)
	for left() > 2 && time.Now().Before(deadline) {
		_, kill := startHolder(t, shared)
		kill()
	}
	if n := left(); n > 2 {
		t.Errorf("%d databases are left; want those of the last process alone", n)
	}
}

func TestPrivateServerIsGoneAfterAKill(t *testing.T) {
	t.Parallel()
	tmp := tempDir(t)
	host, kill := startHolder(t, "TMPDIR="+tmp, "TROUPE_TEST_DATABASE_URL=")
	if files, err := os.ReadDir(tmp); err != nil || len(files) != 1 {
		t.Fatalf("files of the server: %v, %v", files, err)
	}
	kill()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-tick.C {
		conn, err := net.Dial("tcp", host)
		if err == nil {
			conn.Close()
		}
		files, _ := os.ReadDir(tmp)
		if err != nil && len(files) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server is left: files %v, connecting says %v", files, err)
		}
	}
}

// tempDir is as t.TempDir, but where the package has its servers.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(embeddedtest.TempDir(), "troupe-embeddedtest-") //nolint:usetesting // where the package has its servers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// startHolder runs this test binary as one that uses a database until it is
// killed, and returns its server's address.
func startHolder(t *testing.T, env ...string) (host string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestHolder$")
	cmd.Env = append(append(os.Environ(), "HOLDER=1"), env...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the process that holds a database: %q, %v", line, err)
	}
	return strings.TrimSpace(line), kill
}

func TestHolder(t *testing.T) {
	if os.Getenv("HOLDER") == "" {
		t.Skip("only as a process of another test")
	}
	url := embeddedtest.Database(t, items)
	if err := open(t, url).Ping(); err != nil {
		t.Fatal(err)
	}
	fmt.Println(url[strings.Index(url, "@")+1 : strings.LastIndex(url, "/")])
	select {}
}

func TestBrokersAndPrefixes(t *testing.T) {
	t.Parallel()
	conn, err := net.Dial("tcp", embeddedtest.Broker(t))
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if a, b := embeddedtest.Prefix(t), embeddedtest.Prefix(t); a == b || !strings.HasSuffix(a, "-") {
		t.Errorf("prefixes %q and %q", a, b)
	}
}
