// Package acceptance drives the built binary from outside: over HTTP, Kafka and
// signals, as people and operators do. With TROUPE_KAFKA_BROKERS it does so
// against that Kafka, else against the broker that `troupe up` brings.
package acceptance

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/lib/pq"

	"troupe/choreo/embedded"
)

// What all tests share: the binary, and a Postgres in which each system that is
// given a database has one of its own.
var (
	binary   string
	server   *embedded.Postgres
	realOnes = os.Getenv("TROUPE_KAFKA_BROKERS") // of a real Kafka, or empty
)

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.parallel").Value.String() == flag.Lookup("test.parallel").DefValue {
		atOnce := "32" // they wait more than they work
		if realOnes != "" {
			atOnce = "12" // beside a broker that works too
		}
		_ = flag.Set("test.parallel", atOnce)
	}
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "acceptance:", err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "troupe-acceptance-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "troupe")
	build := exec.Command("go", "build", "-o", binary, "../../cmd/troupe")
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("building the binary: %w\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	server, err = embedded.StartPostgres(ctx, embedded.PostgresOptions{
		Dir: filepath.Join(dir, "postgres"), Fast: true, MaxConnections: 400,
	})
	if err != nil {
		return 1, err
	}
	defer server.Stop(context.Background())
	return m.Run(), nil
}

// database makes an empty database and opens it.
func database(t *testing.T) (string, *sql.DB) {
	t.Helper()
	admin, err := sql.Open("postgres", server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	name := "t" + token()
	if _, err := admin.Exec("create database " + name); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	db, err := sql.Open("postgres", u.String())
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(4)
	t.Cleanup(func() { db.Close() })
	return u.String(), db
}

// broker is a Kafka that outlives the systems of a test: the real one, else one
// in this process.
func broker(t *testing.T) string {
	t.Helper()
	if realOnes != "" {
		return realOnes
	}
	k, err := embedded.StartKafka(embedded.KafkaOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	return k.Addr()
}

// eventually polls until check has no error any more.
func eventually(t *testing.T, within time.Duration, check func() error) {
	t.Helper()
	tick := time.NewTicker(40 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(within)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %v", within, err)
		}
		<-tick.C
	}
}

// clean is our environment without what would configure Troupe.
func clean() (env []string) {
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "TROUPE_") || strings.HasPrefix(e, "TROUPE_POSTGRES=") {
			env = append(env, e)
		}
	}
	return env
}
