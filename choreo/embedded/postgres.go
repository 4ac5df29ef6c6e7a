package embedded

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/lib/pq"
)

// database is the name of both the database and its (super)user.
const database = "troupe"

// PostgresOptions says where a private Postgres keeps its data and how it runs.
type PostgresOptions struct {
	// Dir holds the data, the password, the log and a lock. It is made when
	// missing, and may lie under a folder that only root may enter.
	Dir string
	Log *slog.Logger // nil discards
	// Fast gives up durability (fsync off): a loss of power may corrupt the
	// data, a kill -9 may not. For tests.
	Fast bool
	// MaxConnections is 200 when zero.
	MaxConnections int
	// SharedBuffers is the memory for pages, as Postgres writes it; 128MB when empty.
	SharedBuffers string
	// Port to listen on, so that its clients find it again after a restart; a
	// free one when zero.
	Port int
	// Binaries is a folder that has postgres and initdb, or "fetch" for fetched
	// ones whatever the system has. Empty means what TROUPE_POSTGRES says, else
	// the system's, else fetched.
	Binaries string

	outlive bool // postgres outlives a kill -9 of us; so that a test can leave one over
}

// Postgres is a private PostgreSQL server: a child process that listens on a
// free port of the loopback interface and ends with this process.
type Postgres struct {
	url      string
	data     dataDir
	proc     *process
	log      *slog.Logger
	logFile  string
	stopping atomic.Bool
	release  func()
}

// StartPostgres starts a private Postgres, making its data directory the first
// time, and returns when it answers. What a killed run left running on the same
// directory is ended first. The context bounds the start alone. The error is
// [ErrInUse] when a live process has the Dir.
func StartPostgres(ctx context.Context, o PostgresOptions) (*Postgres, error) {
	p, err := startPostgres(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("starting a private Postgres: %w", err)
	}
	return p, nil
}

func startPostgres(ctx context.Context, o PostgresOptions) (_ *Postgres, err error) {
	began := time.Now()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = 200
	}
	if o.Binaries == "" {
		o.Binaries = os.Getenv("TROUPE_POSTGRES")
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	release, err := lockDir(o.Dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			release()
		}
	}()

	path := filepath.Join(o.Dir, "data")
	account, err := accountFor(path)
	if err != nil {
		return nil, err
	}
	bin, err := findBinaries(ctx, o, account, path)
	if err != nil {
		return nil, err
	}
	password, err := ensurePassword(filepath.Join(o.Dir, "password"), account)
	if err != nil {
		return nil, err
	}
	data, err := ensureData(ctx, path, o, bin, account)
	if err != nil {
		return nil, err
	}
	if err := data.endLeftovers(ctx, o.Log); err != nil {
		return nil, err
	}

	p := &Postgres{data: data, log: o.Log, logFile: filepath.Join(o.Dir, "postgres.log"), release: release}
	port, err := p.launch(ctx, o, bin, account)
	if err != nil {
		return nil, err
	}
	p.url = connURL(port, password, database)
	if err := createDatabase(ctx, connURL(port, password, "postgres")); err != nil {
		return nil, errors.Join(err, p.Stop(ctx))
	}
	go p.watch()
	o.Log.Info("private Postgres is ready", "dir", o.Dir, "port", port, "version", bin.version,
		"took", time.Since(began).Round(time.Millisecond))
	return p, nil
}

// URL is a connection string for lib/pq. It holds the password: do not log it.
func (p *Postgres) URL() string { return p.url }

// PID is the process of the server; its parts are children of it.
func (p *Postgres) PID() int { return p.proc.pid() }

// Done is closed when the server has ended, by Stop or by itself.
func (p *Postgres) Done() <-chan struct{} { return p.proc.done }

// Stop ends the server: open transactions are rolled back, sessions closed. When
// the context ends first, the server ends at once and recovers from its log at
// the next start, which loses nothing that was committed. No process of it is
// left when Stop returns.
func (p *Postgres) Stop(ctx context.Context) error {
	p.stopping.Store(true)
	defer p.release()
	p.proc.signal(syscall.SIGINT) // "fast" shutdown
	select {
	case <-p.proc.done:
		return nil
	case <-ctx.Done():
	}
	p.proc.signal(syscall.SIGQUIT) // "immediate" shutdown
	select {
	case <-p.proc.done:
		return nil
	case <-time.After(10 * time.Second): // Postgres itself kills its children after 5 s
		return p.data.killAll()
	}
}

// watch says so when the server ends and nobody asked it to.
func (p *Postgres) watch() {
	<-p.proc.done
	if !p.stopping.Load() {
		p.log.Error("private Postgres has ended by itself", "state", p.proc.state(), "log", logTail(p.logFile))
	}
}

// launch starts the server on a free port and waits until it is ready. Between
// choosing a port and listening on it another process may take it; then it
// tries another.
func (p *Postgres) launch(ctx context.Context, o PostgresOptions, bin binaries, as account) (port int, err error) {
	for range 5 {
		if port = o.Port; port == 0 {
			if port, err = freePort(); err != nil {
				return 0, err
			}
		}
		if p.proc, err = p.spawn(o, bin, as, port); err != nil {
			return 0, err
		}
		if err = p.awaitReady(ctx); err == nil {
			return port, nil
		}
		if o.Port != 0 || !strings.Contains(err.Error(), "could not bind") {
			return 0, err
		}
	}
	return 0, err
}

func (p *Postgres) spawn(o PostgresOptions, bin binaries, as account, port int) (*process, error) {
	settings := map[string]string{
		"port":                    strconv.Itoa(port),
		"listen_addresses":        "127.0.0.1",
		"unix_socket_directories": "", // a path for all to see, and limited to 107 bytes
		"cluster_name":            p.data.mark(),
		"max_connections":         strconv.Itoa(o.MaxConnections),
		"shared_buffers":          cmp.Or(o.SharedBuffers, "128MB"),
		"logging_collector":       "off", // the log is our stdout
		"timezone":                "UTC",
		"log_timezone":            "UTC",
	}
	if o.Fast {
		// Not synchronous_commit: then an immediate stop would lose commits.
		settings["fsync"], settings["full_page_writes"] = "off", "off"
		settings["wal_level"], settings["max_wal_senders"] = "minimal", "0"
	}
	log, err := openLog(p.logFile)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the server has its own
	cmd, closeFiles, err := p.data.command(as, bin.postgres, "-D")
	if err != nil {
		return nil, err
	}
	defer closeFiles()
	for name, value := range settings {
		cmd.Args = append(cmd.Args, "-c", name+"="+value)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if !o.outlive {
		dieWithParent(cmd.SysProcAttr)
	}
	return start(cmd)
}

// awaitReady polls the file in which the server notes its state, as pg_ctl does:
// that cannot be mistaken for a stranger who answers on the same port.
func (p *Postgres) awaitReady(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if pid, state := p.data.pidFile(); pid == p.proc.pid() && state == "ready" {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.proc.done:
			return fmt.Errorf("postgres ended at once (%s); its log %s ends with:\n%s",
				p.proc.state(), p.logFile, logTail(p.logFile))
		case <-ctx.Done():
			p.proc.signal(syscall.SIGQUIT)
			<-p.proc.done
			return fmt.Errorf("waiting for postgres to be ready (see %s): %w", p.logFile, ctx.Err())
		}
	}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("looking for a free port: %w", err)
	}
	addr, err := netip.ParseAddrPort(l.Addr().String())
	if err := errors.Join(err, l.Close()); err != nil {
		return 0, fmt.Errorf("looking for a free port: %w", err)
	}
	return int(addr.Port()), nil
}

func connURL(port int, password, db string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(database, password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		Path:     "/" + db,
		RawQuery: "sslmode=disable&binary_parameters=yes",
	}
	return u.String()
}

// createDatabase makes our database when it is missing: also when a run was
// killed between making the data directory and coming here.
func createDatabase(ctx context.Context, url string) error {
	db, err := sql.Open("postgres", url)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	_, err = db.ExecContext(ctx, "CREATE DATABASE "+pq.QuoteIdentifier(database))
	var pe *pq.Error
	switch {
	case err == nil, errors.As(err, &pe) && pe.Code.Name() == "duplicate_database":
		return nil
	case pe != nil && pe.Code.Class() == "28":
		return fmt.Errorf("the file password in its directory is not this server's: put the right one back, or remove the directory to start afresh: %w", err)
	}
	return fmt.Errorf("creating the database %s: %w", database, err)
}

// ensurePassword reads the password, or makes one the first time. The account
// owns the file, since initdb reads it as that account.
func ensurePassword(path string, as account) (string, error) {
	b, err := os.ReadFile(path)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return strings.TrimSpace(string(b)), err
	}
	// Renamed into place, so that it is never there half written.
	password, tmp := rand.Text(), path+".new"
	if err := os.WriteFile(tmp, []byte(password+"\n"), 0o600); err != nil {
		return "", err
	}
	if err := as.own(tmp); err != nil {
		return "", err
	}
	return password, os.Rename(tmp, path)
}

// Running is the connection string of the private Postgres that another process
// runs in the Dir; false where none answers there.
func Running(dir string) (url string, runs bool) {
	d := dataDir(filepath.Join(dir, "data"))
	pid, state := d.pidFile()
	password, err := os.ReadFile(filepath.Join(dir, "password"))
	if err != nil || state != "ready" || !d.serves(pid) {
		return "", false
	}
	return connURL(d.port(), strings.TrimSpace(string(password)), database), true
}
