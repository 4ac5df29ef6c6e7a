package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopwatch times a run, and the processor time that this process and Postgres
// took in it: on a machine that has other work to do, the steadier figure.
type stopwatch struct {
	bench   *bench
	profile *os.File // nil: none is wanted
	once    sync.Once

	began, ended time.Time
	cpu, cpuEnd  time.Duration
}

// start starts it; again it does nothing.
func (s *stopwatch) start() {
	s.once.Do(func() {
		if s.profile != nil {
			if err := pprof.StartCPUProfile(s.profile); err != nil {
				s.bench.log.Warn("profiling", "error", err)
			}
		}
		s.began, s.cpu = time.Now(), s.bench.processorTime()
	})
}

func (s *stopwatch) stop() {
	s.ended, s.cpuEnd = time.Now(), s.bench.processorTime()
	if s.profile != nil {
		pprof.StopCPUProfile()
		if err := s.profile.Close(); err != nil {
			s.bench.log.Warn("profiling", "error", err)
		}
	}
}

// rate is the run's figure for so many events.
func (s *stopwatch) rate(events int) *measured {
	return &measured{perSecond: float64(events) / s.ended.Sub(s.began).Seconds(),
		cpuPerEvent: float64(s.cpuEnd-s.cpu) / float64(time.Microsecond) / float64(events)}
}

// processorTime is what this process and all of Postgres have used, zero where
// the system does not tell.
func (b *bench) processorTime() time.Duration {
	var self syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &self); err != nil {
		return 0
	}
	sum := time.Duration(self.Utime.Nano() + self.Stime.Nano())
	master := strconv.Itoa(b.postgres.PID())
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		f := statFields(file)
		if f == nil {
			continue
		}
		if filepath.Dir(file) == "/proc/"+master {
			sum += ticks(f[11:15]...) // and of children that have ended
		} else if f[1] == master {
			sum += ticks(f[11:13]...)
		}
	}
	return sum
}

// statFields are the fields of /proc/PID/stat behind the program's name: the
// state, the parent, and so on (man proc). It is nil for one that has ended.
func statFields(file string) []string {
	body, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	text := string(body)
	f := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(f) < 15 {
		return nil
	}
	return f
}

// ticks are hundredths of a second (USER_HZ, the same on every Linux).
func ticks(fields ...string) (sum time.Duration) {
	for _, f := range fields {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			panic(fmt.Sprintf("/proc has %q for a number of ticks", f))
		}
		sum += time.Duration(n) * 10 * time.Millisecond
	}
	return sum
}
