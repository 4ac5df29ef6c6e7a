package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// oldestMajor has what Troupe's SQL needs (DETACH PARTITION CONCURRENTLY).
const oldestMajor = 14

// fetchable are the versions we fetch, by major; newMajor is for new data.
const newMajor = 17

func fetchable(major int) (embeddedpostgres.PostgresVersion, bool) {
	v, ok := map[int]embeddedpostgres.PostgresVersion{
		14: embeddedpostgres.V14,
		15: embeddedpostgres.V15,
		16: embeddedpostgres.V16,
		17: embeddedpostgres.V17,
		18: embeddedpostgres.V18,
	}[major]
	return v, ok
}

// binaries are the programs of one PostgreSQL version.
type binaries struct {
	postgres, initdb string
	version          string // "15.18"
	major            int
}

// findBinaries finds programs that the account can run and that, when there is
// data already, are of the version that made it: the system's, else fetched.
func findBinaries(ctx context.Context, o PostgresOptions, as account, data string) (binaries, error) {
	major := 0
	if b, err := os.ReadFile(filepath.Join(data, "PG_VERSION")); err == nil {
		if major, err = strconv.Atoi(strings.TrimSpace(string(b))); err != nil {
			return binaries{}, fmt.Errorf("reading the data's version: %w", err)
		}
	}
	var dirs []string
	switch o.Binaries {
	case "":
		dirs = systemDirs()
	case "fetch":
	default:
		dirs = []string{o.Binaries}
	}
	var tried []error
	for _, dir := range dirs {
		b, err := probe(ctx, dir, as)
		switch {
		case err != nil:
		case major == 0 && b.major < oldestMajor:
			err = fmt.Errorf("%s has PostgreSQL %s, at least %d is needed", dir, b.version, oldestMajor)
		case major != 0 && b.major != major:
			err = fmt.Errorf("%s has PostgreSQL %s, the data was made by %d", dir, b.version, major)
		default:
			return b, nil
		}
		tried = append(tried, err)
	}
	if o.Binaries != "" && o.Binaries != "fetch" {
		return binaries{}, errors.Join(tried...)
	}
	if major == 0 {
		major = newMajor
	}
	cache, err := cacheDir()
	if err == nil {
		var b binaries
		if b, err = fetch(ctx, cache, major, as); err == nil {
			return b, nil
		}
	}
	return binaries{}, fmt.Errorf("install PostgreSQL (e.g. apt-get install postgresql), or name the folder of its programs in TROUPE_POSTGRES: %w",
		errors.Join(append(tried, err)...))
}

// systemDirs are the folders where PostgreSQL's programs may be, best first.
func systemDirs() []string {
	var dirs []string
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(path))
		}
	}
	debian, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	number := func(dir string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
		return n
	}
	slices.SortFunc(debian, func(a, b string) int { return number(b) - number(a) })
	dirs = append(dirs, debian...)
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	return slices.Compact(dirs)
}

var versionPattern = regexp.MustCompile(`\(PostgreSQL\) ((\d+)\S*)`)

// probe runs the programs, as the account, to see that it can.
func probe(ctx context.Context, dir string, as account) (binaries, error) {
	b := binaries{postgres: filepath.Join(dir, "postgres"), initdb: filepath.Join(dir, "initdb")}
	for _, program := range []string{b.initdb, b.postgres} {
		cmd := exec.CommandContext(ctx, program, "--version")
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as.credential()}
		out, err := cmd.Output()
		if err != nil {
			return binaries{}, fmt.Errorf("running %s as uid %d: %w", program, as.uid, err)
		}
		m := versionPattern.FindSubmatch(out)
		if m == nil {
			return binaries{}, fmt.Errorf("%s --version says %q", program, out)
		}
		b.version = string(m[1])
		b.major, _ = strconv.Atoi(string(m[2]))
	}
	return b, nil
}

// cacheDir keeps fetched programs. Root's own cache is closed to the account that
// is to run them, hence the machine's.
func cacheDir() (string, error) {
	if os.Getuid() == 0 {
		return "/var/cache/troupe", nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("looking for a place to keep a fetched PostgreSQL: %w", err)
	}
	return filepath.Join(dir, "troupe"), nil
}

// fetch gets the programs of a major version, once per cache. They are put in
// place by a rename, so that what is there is whole.
func fetch(ctx context.Context, cache string, major int, as account) (binaries, error) {
	version, ok := fetchable(major)
	if !ok {
		return binaries{}, fmt.Errorf("there is no PostgreSQL %d to fetch", major)
	}
	dir := filepath.Join(cache, "postgresql-"+string(version))
	if b, err := probe(ctx, filepath.Join(dir, "bin"), as); err == nil {
		return b, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil { //nolint:gosec // the server's account has to enter
		return binaries{}, err
	}
	tmp, err := os.MkdirTemp(cache, "fetch-")
	if err != nil {
		return binaries{}, err
	}
	fetched := make(chan error, 1) // the library does not take a context
	go func() {
		err := fetchTo(tmp, dir, version)
		fetched <- errors.Join(err, os.RemoveAll(tmp))
	}()
	select {
	case err = <-fetched:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return binaries{}, fmt.Errorf("fetching PostgreSQL %s: %w", version, err)
	}
	return probe(ctx, filepath.Join(dir, "bin"), as)
}

func fetchTo(tmp, dir string, version embeddedpostgres.PostgresVersion) error {
	// The library fetches only as a part of starting a server, which it would do
	// as our user. A data path that ends in a dot makes it stop between the two:
	// os.RemoveAll refuses such a one. Whether it has fetched is seen by the files.
	extracted := filepath.Join(tmp, "extracted")
	logs := filepath.Join(os.TempDir(), "embedded_postgres_log*") // it leaves an empty one behind
	before, _ := filepath.Glob(logs)
	stopped := embeddedpostgres.NewDatabase(embeddedpostgres.DefaultConfig().
		Version(version).Port(0).Logger(io.Discard).StartTimeout(time.Minute).
		CachePath(tmp).RuntimePath(extracted).DataPath(tmp + "/.")).Start()
	after, _ := filepath.Glob(logs)
	for _, log := range after {
		if !slices.Contains(before, log) {
			_ = os.Remove(log)
		}
	}
	if _, err := os.Stat(filepath.Join(extracted, "bin", "initdb")); err != nil {
		return stopped
	}
	// The account must reach them whatever our umask is.
	if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), openToAll(extracted)); err != nil { //nolint:gosec // the account has to enter here too
		return err
	}
	if err := os.Rename(extracted, dir); err != nil {
		// Another process was first, or its extraction was broken: the probe tells.
		if _, there := os.Stat(dir); there != nil {
			return err
		}
	}
	return nil
}

// openToAll lets everybody read what is in a folder, and run what we can.
func openToAll(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	return fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o444
		if mode&0o100 != 0 {
			mode |= 0o111
		}
		return root.Chmod(path, mode)
	})
}
