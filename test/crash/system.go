package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// system is `troupe up`, started again whenever it has died.
type system struct {
	dir, binary string
	ports       [4]int // HTTP, Kafka, and the sandbox's SMTP and HTTP: the same in every life

	died []string // where, in this round
}

func newSystem(dir, binary string) (*system, error) {
	s := &system{dir: dir, binary: binary}
	for i := range s.ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() //nolint:errcheck,gocritic // all four at once, so that they differ
		at, err := netip.ParseAddrPort(l.Addr().String())
		if err != nil {
			return nil, err
		}
		s.ports[i] = int(at.Port())
	}
	return s, nil
}

func (s *system) address(i int) string { return "127.0.0.1:" + strconv.Itoa(s.ports[i]) }

// round runs one demo, its rentals in the mode, over a system that dies at the
// points that are open. It tells at how many it died.
func (s *system) round(ctx context.Context, o options, b *book, open []point, mode string) (came int, err error) {
	began := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	s.died = nil
	armed := map[string]string{} // what the book knows them as
	for _, p := range open {
		if p.Mode == "" || p.Mode == mode {
			armed[p.At] = p.String()
		}
	}
	lives := make(chan error, 1)
	go func() { lives <- s.live(ctx, armed, o.deaths) }()
	r := round{Seed: uint64(len(b.Rounds) + 1)}
	out, failed := s.demo(ctx, o, r.Seed, mode)
	interrupted := ctx.Err() != nil
	cancel()
	if err := <-lives; err != nil {
		return 0, err
	}
	for _, at := range s.died {
		r.Died = append(r.Died, armed[at])
	}
	r.Took = time.Since(began).Round(time.Second).String()
	if interrupted {
		return 0, context.Canceled
	}
	if failed != nil {
		r.Wrong = failed.Error()
		fmt.Fprintf(os.Stderr, "%s\n", out)
	}
	fmt.Fprintf(os.Stderr, "round %d, rentals by %s: died %d times in %s: %s %s\n", r.Seed, mode, len(r.Died), r.Took, strings.Join(r.Died, ", "), r.Wrong)
	return len(r.Died), b.add(r)
}

// demo drives the system, and waits for every saga to settle.
func (s *system) demo(ctx context.Context, o options, seed uint64, mode string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, s.binary, "demo", "--url", "http://"+s.address(0), "--data", s.data(), "--sagas", strconv.Itoa(o.sagas),
		"--mode", mode, "--seed", strconv.FormatUint(seed, 10), "--patience", "2m", "--wait", "4m")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	for { // the secrets of the data folder are made by the first life
		if _, err := os.Stat(filepath.Join(s.data(), "secrets.json")); err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	err := cmd.Run()
	return out.Bytes(), err
}

func (s *system) data() string { return filepath.Join(s.dir, "data") }

// live runs the system until ctx ends, armed with the points that it has not died
// at, and unarmed once it has died often enough.
func (s *system) live(ctx context.Context, open map[string]string, most int) error {
	log, err := os.OpenFile(filepath.Join(s.dir, "up.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // a log
	for ctx.Err() == nil {
		var armed []string
		for at := range open {
			if !slices.Contains(s.died, at) && len(s.died) < most {
				armed = append(armed, at)
			}
		}
		at, err := s.once(ctx, log, strings.Join(armed, ","))
		switch {
		case ctx.Err() != nil:
			return nil
		case at == "":
			return fmt.Errorf("the system ended by itself, see %s: %w", log.Name(), err)
		}
		s.died = append(s.died, at)
	}
	return nil
}

// once runs the system for one life, and tells where it died.
func (s *system) once(ctx context.Context, log *os.File, armed string) (point string, err error) {
	cmd := exec.Command(s.binary, "up", "--data", s.data(), "--http", s.address(0), "--kafka", s.address(1),
		"--sandbox-smtp", s.address(2), "--sandbox-http", s.address(3))
	cmd.Env = append(os.Environ(), "TROUPE_CRASH_AT="+armed)
	cmd.Stdout = log
	lines, err := cmd.StderrPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	done := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer done()
	for in := bufio.NewScanner(lines); in.Scan(); {
		if at, ok := strings.CutPrefix(in.Text(), "crashpoint: "); ok {
			point = at
		}
		fmt.Fprintln(log, in.Text())
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && point != "" {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signal() == syscall.SIGKILL {
			return point, nil
		}
	}
	return "", err
}
