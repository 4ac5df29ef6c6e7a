package embedded

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func startPG(t *testing.T, o PostgresOptions) *Postgres {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	o.Fast = true
	p, err := StartPostgres(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopPG(t, p) })
	return p
}

func stopPG(t *testing.T, p *Postgres) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := p.Stop(ctx); err != nil {
		t.Error(err)
	}
	if left := p.data.servers(); len(left) > 0 {
		t.Errorf("processes %v are left after Stop", left)
	}
}

func exec1(t *testing.T, url, query string) {
	t.Helper()
	db := openDB(t, url)
	if _, err := db.Exec(query); err != nil {
		t.Fatal(err)
	}
}

func query1(t *testing.T, url, query string) (value string) {
	t.Helper()
	db := openDB(t, url)
	if err := db.QueryRow(query).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func openDB(t *testing.T, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestPostgresKeepsItsDataAndItsSecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var log bytes.Buffer
	p := startPG(t, PostgresOptions{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
	exec1(t, p.URL(), `CREATE TABLE kept AS SELECT 'still here' AS v`)

	u, err := url.Parse(p.URL())
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	for _, pid := range p.data.servers() {
		if _, args := commandOf(pid); strings.Contains(strings.Join(args, " "), password) {
			t.Errorf("process %d shows the password in its command line", pid)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "password")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("password file: %v, %v; want mode 0600", info.Mode(), err)
	}
	u.User = url.UserPassword(u.User.Username(), "guess")
	if err := openDB(t, u.String()).Ping(); err == nil {
		t.Error("a wrong password is let in")
	}
	if got := query1(t, p.URL(), `SHOW listen_addresses`); got != "127.0.0.1" {
		t.Errorf("listens on %q", got)
	}

	stopPG(t, p)
	select {
	case <-p.Done():
	default:
		t.Error("Done is open after Stop")
	}
	again := startPG(t, PostgresOptions{Dir: dir})
	if got := query1(t, again.URL(), `SELECT v FROM kept`); got != "still here" {
		t.Errorf("after a restart: %q", got)
	}
	if strings.Contains(log.String(), password) {
		t.Error("the password is in the log")
	}
}

func TestPostgresUnderAFolderThatOnlyRootMayEnter(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	closed := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	p := startPG(t, PostgresOptions{Dir: filepath.Join(closed, "not", "made yet")})
	exec1(t, p.URL(), `CREATE TABLE t (id int); CHECKPOINT`)
	for _, pid := range p.data.servers() {
		var st syscall.Stat_t
		if err := syscall.Stat("/proc/"+strconv.Itoa(pid), &st); err == nil && st.Uid == 0 {
			t.Errorf("process %d runs as root", pid)
		}
	}
	var caps string
	if b, err := os.ReadFile("/proc/" + strconv.Itoa(p.proc.pid()) + "/status"); err == nil {
		for line := range strings.Lines(string(b)) {
			if strings.HasPrefix(line, "CapEff:") || strings.HasPrefix(line, "Groups:") {
				caps += strings.TrimSpace(line) + ";"
			}
		}
	}
	if caps != "Groups:;CapEff:\t0000000000000000;" {
		t.Errorf("the server has more than it needs: %q", caps)
	}
}

func TestPostgresOfAKilledRunIsEnded(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"running", "stopped"} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			url, kill9 := startHelper(t, "outliving postgres", dir)
			exec1(t, url, `CREATE TABLE kept AS SELECT 'still here' AS v`)
			kill9()
			data := dataDir(filepath.Join(dir, "data"))
			main, _ := data.pidFile()
			if !data.serves(main) {
				t.Fatal("the server did not outlive its parent: nothing is tested")
			}
			if state == "stopped" {
				if err := syscall.Kill(main, syscall.SIGSTOP); err != nil {
					t.Fatal(err)
				}
			}
			p := startPG(t, PostgresOptions{Dir: dir})
			if data.serves(main) {
				t.Error("the old server is still there")
			}
			if got := query1(t, p.URL(), `SELECT v FROM kept`); got != "still here" {
				t.Errorf("data after the take-over: %q", got)
			}
		})
	}
}

func TestPostgresEndsWithItsParent(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self"); err != nil {
		t.Skip("only Linux can")
	}
	dir := t.TempDir()
	_, kill9 := startHelper(t, "postgres", dir)
	kill9()
	data := dataDir(filepath.Join(dir, "data"))
	eventually(t, "the server is gone", func() bool { return len(data.servers()) == 0 })
}

// A backend that is busy does not notice that its postmaster was killed, and
// holds the shared memory.
func TestPostgresOrphansAreEnded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startPG(t, PostgresOptions{Dir: dir})
	exec1(t, p.URL(), `CREATE TABLE kept AS SELECT 'still here' AS v`)
	db := openDB(t, p.URL())
	go func() { _, _ = db.Exec(`DO $$ BEGIN LOOP END LOOP; END $$`) }()
	eventually(t, "the endless loop runs", func() bool {
		return query1(t, p.URL(), `SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DO %' AND state = 'active'`) == "1"
	})
	p.proc.signal(syscall.SIGKILL)
	<-p.Done()
	p.release() // as the end of the process would
	if len(p.data.servers()) == 0 {
		t.Fatal("no orphan: nothing is tested")
	}
	again := startPG(t, PostgresOptions{Dir: dir})
	if got := query1(t, again.URL(), `SELECT v FROM kept`); got != "still here" {
		t.Errorf("data: %q", got)
	}
}

func TestPostgresPidFileThatNamesAStranger(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startPG(t, PostgresOptions{Dir: dir})
	account, err := accountFor(string(p.data))
	if err != nil {
		t.Fatal(err)
	}
	stopPG(t, p)
	// One of the same user, which by itself keeps Postgres from starting.
	stranger := exec.Command("sleep", "600")
	stranger.Dir = "/"
	stranger.SysProcAttr = &syscall.SysProcAttr{Credential: account.credential()}
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer stranger.Wait()
	defer stranger.Process.Kill()
	pidFile := strconv.Itoa(stranger.Process.Pid) + "\n" + string(p.data) + "\n"
	if err := os.WriteFile(filepath.Join(string(p.data), "postmaster.pid"), []byte(pidFile), 0o600); err != nil {
		t.Fatal(err)
	}
	startPG(t, PostgresOptions{Dir: dir})
	if name, _ := commandOf(stranger.Process.Pid); name != "sleep" {
		t.Errorf("the stranger was ended (%q)", name)
	}
}

func TestPostgresStartedTwice(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startPG(t, PostgresOptions{Dir: dir})
	_, err := StartPostgres(t.Context(), PostgresOptions{Dir: dir})
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("second start: %v; want ErrInUse with our pid", err)
	}
	other := startPG(t, PostgresOptions{Dir: t.TempDir()})
	if query1(t, p.URL(), `SELECT 1`) != query1(t, other.URL(), `SELECT 1`) || p.URL() == other.URL() {
		t.Error("two servers do not run side by side")
	}
}

func TestPostgresStopWithoutPatience(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startPG(t, PostgresOptions{Dir: dir})
	exec1(t, p.URL(), `CREATE TABLE kept AS SELECT 'still here' AS v`)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Stop(ended); err != nil {
		t.Fatal(err)
	}
	again := startPG(t, PostgresOptions{Dir: dir})
	if got := query1(t, again.URL(), `SELECT v FROM kept`); got != "still here" {
		t.Errorf("data: %q", got)
	}
}

func TestPostgresStartGivenUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // initdb alone takes longer
	defer cancel()
	if _, err := StartPostgres(ctx, PostgresOptions{Dir: dir}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("start: %v; want the context's error", err)
	}
	startPG(t, PostgresOptions{Dir: dir}) // what is half made does not matter
}

func TestPostgresSaysWhyItCannotStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startPG(t, PostgresOptions{Dir: dir})
	stopPG(t, p)
	if err := os.WriteFile(filepath.Join(string(p.data), "postgresql.conf"), []byte("nonsense = on\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := StartPostgres(t.Context(), PostgresOptions{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("start: %v; want what the server's log says", err)
	}
	_, err = StartPostgres(t.Context(), PostgresOptions{Dir: dir, Binaries: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "initdb") {
		t.Errorf("start without programs: %v", err)
	}

	other := t.TempDir()
	stopPG(t, startPG(t, PostgresOptions{Dir: other}))
	if err := os.WriteFile(filepath.Join(other, "password"), []byte("forgotten\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = StartPostgres(t.Context(), PostgresOptions{Dir: other})
	if err == nil || !strings.Contains(err.Error(), "the file password") || len(dataDir(filepath.Join(other, "data")).servers()) > 0 {
		t.Errorf("start with a wrong password: %v; want that said, and the server ended", err)
	}
}

// Needs the network: TROUPE_TEST_FETCH=1.
func TestPostgresFetched(t *testing.T) {
	t.Parallel()
	if os.Getenv("TROUPE_TEST_FETCH") == "" {
		t.Skip("set TROUPE_TEST_FETCH=1 to fetch PostgreSQL")
	}
	cache, err := os.MkdirTemp("", "troupe-fetch-") //nolint:usetesting // the account has to enter, which t.TempDir forbids
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(cache) })
	dir := t.TempDir()
	account, err := accountFor(filepath.Join(dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := fetch(t.Context(), cache, newMajor, account)
	if err != nil {
		t.Fatal(err)
	}
	p := startPG(t, PostgresOptions{Dir: dir, Binaries: filepath.Dir(b.postgres)})
	if got := query1(t, p.URL(), `SHOW server_version`); got != b.version {
		t.Errorf("server version %s, fetched %s", got, b.version)
	}
	if left, err := os.ReadDir(cache); err != nil || len(left) != 1 {
		t.Errorf("the cache has %v, %v; want the programs alone", left, err)
	}
}

// What made the data decides which programs will do.
func TestPostgresOfAnotherVersion(t *testing.T) {
	t.Parallel()
	account, err := accountFor("none yet")
	if err != nil {
		t.Fatal(err)
	}
	system, err := findBinaries(t.Context(), PostgresOptions{}, account, "none yet")
	if err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	if err := os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte("9999\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, named := range []string{"", filepath.Dir(system.postgres)} {
		_, err := findBinaries(t.Context(), PostgresOptions{Binaries: named}, account, data)
		if err == nil || !strings.Contains(err.Error(), "9999") {
			t.Errorf("programs named %q for data of version 9999: %v", named, err)
		}
	}
}
