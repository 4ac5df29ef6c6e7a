package relay_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/lib/pq"

	"troupe/choreo"
	"troupe/choreo/choreotest"
	"troupe/choreo/relay"
	"troupe/choreo/saga"
)

// exec runs statements that make the database one of an earlier day, or take a
// relay's lease away.
func exec(t *testing.T, s *choreotest.Stage, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := s.DB.Pool().ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

const (
	yesterday = `update choreo.log_partitions set opened_at = opened_at - interval '1 day' where closed_at is null`
	noLease   = `delete from choreo.leases`
)

// listSagas has the rows of sagas come as far as the log.
func listSagas(t *testing.T, s *choreotest.Stage) {
	t.Helper()
	for n := 1; n > 0; {
		var err error
		if n, err = saga.Advance(t.Context(), s.DB); err != nil {
			t.Fatal(err)
		}
	}
}

// nextRelay is one that knows nothing of what the one before it knew.
func nextRelay(t *testing.T, s *choreotest.Stage, p *press) *relay.Relay {
	t.Helper()
	exec(t, s, noLease)
	return relay.New(s.DB, p, p, slog.New(slog.DiscardHandler))
}

func TestAPartitionOfTheLogEndsWithTheDay(t *testing.T) {
	t.Parallel()
	s, p := setUp(t)
	for day := range 3 {
		r := nextRelay(t, s, p)
		for n := range 5 {
			s.Emit("tick", ticked{fmt.Sprint("c", n), day, ""})
		}
		if err := drain(t, r); err != nil {
			t.Fatal(err)
		}
		if day == 1 { // the second day's is made ahead, the third's when it is needed
			if err := r.Keep(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		exec(t, s, yesterday)
	}
	for number := 1; number <= 3; number++ {
		n := s.Count(fmt.Sprintf(`select count(*) from choreo.event_log_%d`, number))
		first := s.Count(fmt.Sprintf(`select min(position) from choreo.event_log_%d`, number))
		if n != 5 || first != (number-1)*100_000_000+1 {
			t.Errorf("partition %d holds %d facts from position %d on", number, n, first)
		}
	}
	for _, sequences := range p.out {
		for i, n := range sequences {
			if n != fmt.Sprint(i+1) {
				t.Errorf("published %v: the sequences have a gap at the end of a day", sequences)
			}
		}
	}
	if n := s.Count(`select count(*) from choreo.log_partitions where closed_at is not null and last_position % 100000000 = 5`); n != 2 {
		t.Errorf("%d partitions are closed where they end, want 2", n)
	}
	stream := choreo.Stream{Source: s.DB.Source(), Topic: "clocks"}
	fresh, err := choreo.Open(t.Context(), s.DB.Pool(), s.DB.Flow(), choreo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for sequence := 0; ; sequence++ {
		after, err := fresh.LogAfter(t.Context(), s.DB.Pool(), stream, int64(sequence))
		if err != nil {
			t.Fatal(err)
		}
		const next = `select count(*) from choreo.event_log l join choreo.streams s on s.id = l.stream
			where s.topic = 'clocks' and s.partition = 0 and l.sequence = $1`
		if s.Count(next, sequence+1) == 0 {
			if last := s.Count(`select max(last_position) from choreo.log_partitions`); after != int64(last) {
				t.Errorf("what is to come is looked for from %d on, want %d: in days gone by it is not", after, last)
			}
			break
		}
		if s.Count(next+` and position > $2`, sequence+1, after) != 1 {
			t.Errorf("sequence %d stands behind %d, it is said, and does not", sequence+1, after)
		}
	}
}

// A relay that rested over midnight has no lease any more, and its log has no
// partition for the new day: it makes one all the same.
func TestARelayThatRestedOverTheEndOfADayGoesOn(t *testing.T) {
	t.Parallel()
	s, p := setUp(t)
	r := relay.New(s.DB, p, p, slog.New(slog.DiscardHandler))
	for day := range 4 {
		for n := range 5 {
			s.Emit("tick", ticked{fmt.Sprint("c", n), day, ""})
		}
		if err := drain(t, r); err != nil {
			t.Fatalf("day %d: %v", day, err)
		}
		exec(t, s, fmt.Sprintf(`do $$ begin execute format('alter database %%I set troupe.now = %%L',
			current_database(), clock_timestamp() + interval '%d days'); end $$`, day+1))
		s.DB.Pool().SetMaxIdleConns(-1) // the next connections have the next day
		s.DB.Pool().SetMaxIdleConns(2)
	}
	if n := s.Count(`select count(*) from choreo.log_partitions where opened_at is not null`); n != 4 {
		t.Errorf("%d partitions for four days", n)
	}
}

// A day that adds little to a large log does not get a partition of its own.
func TestASmallDaySharesAPartition(t *testing.T) {
	t.Parallel()
	s, p := setUp(t)
	emit := func(n int) {
		t.Helper()
		facts := make([]choreo.Fact, n)
		for i := range facts {
			facts[i] = ticked{fmt.Sprint("c", i), 1, ""}
		}
		s.Emit("tick", facts...)
		if err := drain(t, nextRelay(t, s, p)); err != nil {
			t.Fatal(err)
		}
		exec(t, s, yesterday)
	}
	emit(100)
	emit(2)
	emit(2)
	if n := s.Count(`select count(*) from choreo.event_log_2`); n != 4 {
		t.Errorf("the second partition holds %d facts, want those of two days", n)
	}
}

func TestAFullPartitionOfTheLogIsClosed(t *testing.T) {
	t.Parallel()
	s, p := setUp(t)
	r := relay.New(s.DB, p, p, slog.New(slog.DiscardHandler))
	s.Emit("tick", ticked{"c", 0, ""})
	if err := drain(t, r); err != nil {
		t.Fatal(err)
	}
	// As far as this relay knows there is room; none is made ahead, and its lease
	// is over, but nobody else has taken it.
	exec(t, s, `update choreo.log_head set position = 100000000 - 2`, `update choreo.leases set until = until - interval '1 hour'`)
	for n := range 4 {
		s.Emit("tick", ticked{"c", n + 1, ""})
	}
	if err := drain(t, r); err != nil {
		t.Fatal(err)
	}
	if n := s.Count(`select count(*) from choreo.event_log_2`); n != 4 {
		t.Errorf("%d facts stand behind the full partition, want 4", n)
	}
	for _, sequences := range p.out {
		if fmt.Sprint(sequences) != "[1 2 3 4 5]" {
			t.Errorf("published %v", sequences)
		}
	}
}

// Behind one long reader, CREATE … PARTITION OF stops all inserts. What we do
// instead does not, when a partition is made as little as when it is dropped.
func TestALongReaderStopsNoInserts(t *testing.T) {
	t.Parallel()
	s, p := setUp(t)
	r := relay.New(s.DB, p, p, slog.New(slog.DiscardHandler)).Retain(time.Hour)
	s.Emit("tick", ticked{"c", 0, ""})
	if err := drain(t, r); err != nil {
		t.Fatal(err)
	}
	exec(t, s, yesterday)
	reader, err := s.DB.Pool().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Rollback()
	var n int
	if err := reader.QueryRowContext(t.Context(), `select count(*) from choreo.event_log`).Scan(&n); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	// The control: this would wait for the reader, and everyone behind it.
	if _, err := s.DB.Pool().Exec(`set lock_timeout = '50ms'; create table choreo.event_log_99 partition of choreo.event_log
		for values from (9800000001) to (9900000001)`); choreo.SQLState(err) != "55P03" {
		t.Fatalf("CREATE … PARTITION OF behind a reader: %v", err)
	}
	r = nextRelay(t, s, p).Retain(time.Hour)
	relayed := 1
	emit := func() {
		t.Helper()
		s.Emit("tick", ticked{"c", relayed, ""})
		if err := drain(t, r); err != nil {
			t.Fatalf("behind a long reader: %v", err)
		}
		relayed++
		if n := s.Count(`select count(*) from choreo.event_log`); n == 0 {
			t.Error("the log cannot be read")
		}
	}
	emit() // makes the next partition, and closes the first
	exec(t, s, `update choreo.log_partitions set closed_at = closed_at - interval '1 day'`)
	listSagas(t, s)
	kept := make(chan error, 1)
	go func() { kept <- r.Keep(t.Context()) }()
	choreotest.Eventually(t, "the partition is being detached", func() bool {
		return s.Count(`select count(*) from pg_inherits where inhparent = 'choreo.event_log'::regclass and inhdetachpending`) == 1
	})
	for range 3 {
		emit()
	}
	select {
	case err := <-kept:
		t.Fatalf("a partition that somebody reads was dropped: %v", err)
	default:
	}
	if err := reader.QueryRowContext(t.Context(), `select count(*) from choreo.event_log where data is not null`).Scan(&n); err != nil || n < 1 {
		t.Errorf("the long reader sees %d facts (%v)", n, err)
	}
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-kept; err != nil {
		t.Fatal(err)
	}
	if n := s.Count(`select count(*) from choreo.event_log`); n != relayed-1 {
		t.Errorf("%d facts are left, want all but the first of %d", n, relayed)
	}
	for _, sequences := range p.out {
		if len(sequences) != relayed {
			t.Errorf("published %v, want 1 to %d", sequences, relayed)
		}
	}
}

// Dropping that was interrupted halfway is taken up again.
func TestDroppingIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	s, p := setUp(t)
	s.Emit("tick", ticked{"c", 0, ""})
	if err := drain(t, relay.New(s.DB, p, p, slog.New(slog.DiscardHandler))); err != nil {
		t.Fatal(err)
	}
	exec(t, s, yesterday)
	r := nextRelay(t, s, p).Retain(time.Hour)
	s.Emit("tick", ticked{"c", 1, ""})
	if err := drain(t, r); err != nil {
		t.Fatal(err)
	}
	exec(t, s, `update choreo.log_partitions set closed_at = closed_at - interval '1 day'`)
	listSagas(t, s)
	reader, err := s.DB.Pool().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Rollback()
	if _, err := reader.ExecContext(t.Context(), `lock table choreo.event_log in access share mode`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	kept := make(chan error, 1)
	go func() { kept <- r.Keep(ctx) }()
	choreotest.Eventually(t, "the partition is being detached", func() bool {
		return s.Count(`select count(*) from pg_inherits where inhparent = 'choreo.event_log'::regclass and inhdetachpending`) == 1
	})
	cancel() // the relay dies
	var failed *pq.Error
	if err := <-kept; !errors.As(err, &failed) && !errors.Is(err, context.Canceled) {
		t.Fatalf("the detaching that was interrupted: %v", err)
	}
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := r.Keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := s.Count(`select count(*) from pg_class where relname like 'event\_log\_1%'`); n != 0 {
		t.Errorf("%d relations of the partition are left", n)
	}
	if n := s.Count(`select count(*) from choreo.log_partitions where number = 1 or dropped_at is not null`); n != 0 {
		t.Error("it is still in the list of partitions")
	}
}
