package relay_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"troupe/choreo"
	"troupe/choreo/broker"
	"troupe/choreo/choreotest"
	"troupe/choreo/relay"
	"troupe/choreo/wire"
)

type ticked struct {
	ClockID string `json:"clockId"`
	N       int    `json:"n"`
	Face    string `json:"face,omitempty"`
}

func (ticked) FactType() string { return "clocks.Ticked.v1" }
func (f ticked) Key() string    { return f.ClockID }

// press is a publisher whose partitions can be made to fail: a fault that no
// real broker can be made to have on one partition alone.
type press struct {
	mu     sync.Mutex
	failed map[string]bool // partitions
	down   bool
	out    map[string][]string // sequences by partition

	records map[string][]*wire.Record // by topic and partition
	read    int                       // how many were read back
}

func (p *press) Publish(_ string, messages ...*message.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		return errors.New("no broker answers")
	}
	at := map[int]error{}
	for i, r := range broker.BatchOf(messages[0]).Records {
		partition := fmt.Sprint(r.Partition)
		if p.failed[partition] {
			at[i] = errors.New("not the leader")
			continue
		}
		m, _, err := wire.Parse(r)
		if err != nil {
			return err
		}
		p.out[partition] = append(p.out[partition], fmt.Sprint(m.Sequence))
		place := fmt.Sprint(r.Topic, r.Partition)
		r.Offset = int64(len(p.records[place]))
		p.records[place] = append(p.records[place], r)
	}
	if len(at) > 0 {
		return broker.NewFailedError(at)
	}
	return nil
}

func (p *press) Close() error { return nil }

// Ends tells how much was published.
func (p *press) Ends(_ context.Context, topics []string) (ends []broker.End, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		return nil, errors.New("no broker answers")
	}
	for _, topic := range topics {
		for partition := range int32(3) {
			end := broker.End{Topic: topic, TopicID: topic, Partition: partition}
			if list := p.records[fmt.Sprint(topic, partition)]; len(list) > 0 {
				end.Offset = list[len(list)-1].Offset + 1
			}
			ends = append(ends, end)
		}
	}
	return ends, nil
}

// ReadFrom reads what was published.
func (p *press) ReadFrom(_ context.Context, topic string, partition int32, offset int64, each func(*wire.Record) error) error {
	p.mu.Lock()
	records, down := slices.Clone(p.records[fmt.Sprint(topic, partition)]), p.down
	p.mu.Unlock()
	if down {
		return errors.New("no broker answers")
	}
	for _, r := range records {
		if r.Offset >= offset {
			p.mu.Lock()
			p.read++
			p.mu.Unlock()
			if err := each(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func setUp(t *testing.T) (*choreotest.Stage, *press) {
	t.Helper()
	flow, err := choreo.NewFlow(choreo.Command("tick").Emits(ticked{}, struck{}))
	if err != nil {
		t.Fatal(err)
	}
	s := choreotest.New(t, flow, choreo.Migrate)
	if _, err := s.DB.Pool().Exec(`insert into choreo.topics values ('clocks', 3)`); err != nil {
		t.Fatal(err)
	}
	return s, &press{failed: map[string]bool{}, out: map[string][]string{}, records: map[string][]*wire.Record{}}
}

// drain turns the relay until nothing is left to do, or it fails.
func drain(t *testing.T, r *relay.Relay) error {
	t.Helper()
	for {
		n, err := r.Sequence(t.Context())
		if err != nil {
			return err
		}
		m, err := r.Forward(t.Context())
		if err != nil || n+m == 0 {
			return err
		}
	}
}

func TestAPartitionThatCannotBeWrittenHoldsUpOnlyItself(t *testing.T) {
	t.Parallel()
	s, p := setUp(t)
	r := relay.New(s.DB, p, p, slog.New(slog.DiscardHandler))
	tick := func(n int) {
		for key := range 12 {
			s.Emit("tick", ticked{fmt.Sprint(key), n, ""})
		}
	}
	p.failed["1"] = true
	tick(1)
	if drain(t, r) == nil {
		t.Error("a partition fails and nobody says so")
	}
	if len(p.out["0"]) == 0 || len(p.out["2"]) == 0 || len(p.out["1"]) != 0 {
		t.Errorf("published %v: want all but partition 1", p.out)
	}
	p.failed["1"] = false
	tick(2)
	if err := drain(t, r); err != nil {
		t.Fatal(err)
	}
	total := 0
	for partition, sequences := range p.out {
		for i, sequence := range sequences {
			if sequence != fmt.Sprint(i+1) {
				t.Errorf("partition %s has %v: want 1, 2, 3, … once each", partition, sequences)
				break
			}
		}
		total += len(sequences)
	}
	if total != 24 {
		t.Errorf("%d published, want 24", total)
	}
}

func TestCommandsGoOnWhileKafkaIsAway(t *testing.T) {
	t.Parallel()
	s, p := setUp(t)
	p.down = true
	r := relay.New(s.DB, p, p, slog.New(slog.DiscardHandler))
	for n := range 5 {
		s.Emit("tick", ticked{"c", n, ""})
		if err := drain(t, r); err == nil {
			t.Fatal("nobody says that the broker is away")
		}
	}
	p.down = false
	if err := drain(t, r); err != nil {
		t.Fatal(err)
	}
	for _, sequences := range p.out {
		if fmt.Sprint(sequences) != "[1 2 3 4 5]" {
			t.Errorf("published %v, want 1 to 5 in order", sequences)
		}
	}
}

func TestOneRelayIsActiveAndAnotherTakesOver(t *testing.T) {
	t.Parallel()
	s, p := setUp(t)
	first, second := relay.New(s.DB, p, p, slog.New(slog.DiscardHandler)), relay.New(s.DB, p, p, slog.New(slog.DiscardHandler))
	if _, err := first.Sequence(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Sequence(t.Context()); !errors.Is(err, relay.ErrStandby) {
		t.Errorf("a second relay got %v, want ErrStandby", err)
	}
	if _, err := s.DB.Pool().Exec(`update choreo.leases set until = choreo.troupe_now()`); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Sequence(t.Context()); err != nil {
		t.Errorf("the stand-by after the lease: %v", err)
	}
	if _, err := first.Sequence(t.Context()); !errors.Is(err, relay.ErrStandby) {
		t.Errorf("the first relay after it lost the lease got %v, want ErrStandby", err)
	}
}

func TestSequencesStayGaplessUnderConcurrentCommands(t *testing.T) {
	t.Parallel()
	s, p := setUp(t)
	r := relay.New(s.DB, p, p, slog.New(slog.DiscardHandler))
	var commands sync.WaitGroup
	for worker := range 8 {
		commands.Go(func() {
			for n := range 25 {
				s.Emit("tick", ticked{fmt.Sprint(worker), n, ""})
			}
		})
	}
	done := make(chan struct{})
	go func() { commands.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		if err := drain(t, r); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.Count(`select count(*) from choreo.event_log`); n != 200 {
		t.Errorf("%d facts in the log, want 200", n)
	}
	for _, query := range []string{
		`select count(*) from (select sequence <> row_number() over (partition by stream order by sequence) as hole from choreo.event_log) x where hole`,
		`select count(*) from (select position <> row_number() over (order by position) as hole from choreo.event_log) x where hole`,
		`select count(*) from choreo.event_log a join choreo.event_log b on a.key = b.key and a.sequence < b.sequence
			where (convert_from(a.data, 'UTF8')::json->>'n')::int > (convert_from(b.data, 'UTF8')::json->>'n')::int`,
	} {
		if n := s.Count(query); n != 0 {
			t.Errorf("%d rows of %s", n, query)
		}
	}
}

// A command that took its outbox id early and commits late must not be left
// behind by the floor, however many claims are made in between.
func TestALateCommitIsNotLeftBelowTheFloor(t *testing.T) {
	t.Parallel()
	s, p := setUp(t)
	r := relay.New(s.DB, p, p, slog.New(slog.DiscardHandler))
	emitted, commit, done := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		done <- s.DB.InUnit(context.Background(), func(ctx context.Context, u *choreo.Unit) error {
			_, err := u.SQL().ExecContext(ctx, `insert into choreo.outbox
				(event_id, type, key, saga, causation, emitter, ran_in, traceparent, at, data)
				values ('late', 'clocks.Ticked.v1', 'late', 'late', '', 'tick', '', '', choreo.troupe_now(), '{}')`)
			close(emitted)
			<-commit
			return err
		})
	}()
	<-emitted
	for n := range 5 {
		s.Emit("tick", ticked{"early", n, ""})
		if err := drain(t, r); err != nil {
			t.Fatal(err)
		}
	}
	close(commit)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := drain(t, r); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.Count(`select count(*) from choreo.event_log where event_id = 'late'`); n != 1 {
		t.Errorf("the late fact stands in the log %d times", n)
	}
	if n := s.Count(`select count(*) from choreo.outbox`); n != 0 {
		t.Errorf("%d facts are left in the outbox", n)
	}
}

// What a relay that died had published and not noted is not published again.
func TestTheNextRelayReadsKafkaBack(t *testing.T) {
	t.Parallel()
	s, p := setUp(t)
	for n := range 3 {
		s.Emit("tick", ticked{"c", n, ""})
	}
	if err := drain(t, relay.New(s.DB, p, p, slog.New(slog.DiscardHandler))); err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{`update choreo.forwarded set sequence = 1, next_offset = 1`, `delete from choreo.leases`} {
		if _, err := s.DB.Pool().Exec(query); err != nil {
			t.Fatal(err)
		}
	}
	s.Emit("tick", ticked{"c", 3, ""})
	if err := drain(t, relay.New(s.DB, p, p, slog.New(slog.DiscardHandler))); err != nil {
		t.Fatal(err)
	}
	for _, sequences := range p.out {
		if fmt.Sprint(sequences) != "[1 2 3 4]" {
			t.Errorf("published %v, want 1 to 4 once each", sequences)
		}
	}
}

// A backup may be older than what Kafka keeps: the facts that follow its last are
// gone there, and the later ones tell all the same.
func TestARewoundDatabaseIsRefusedThoughKafkaHasExpiredWhatFollows(t *testing.T) {
	t.Parallel()
	s, p := setUp(t)
	for n := range 6 {
		s.Emit("tick", ticked{"c", n, ""})
	}
	if err := drain(t, relay.New(s.DB, p, p, slog.New(slog.DiscardHandler))); err != nil {
		t.Fatal(err)
	}
	exec(t, s, `delete from choreo.event_log where sequence > 1`, `update choreo.streams set head = 1 where head > 0`,
		`update choreo.forwarded set sequence = 1, next_offset = 1 where sequence > 0`, `update choreo.log_head set position = 1`, noLease)
	for place, records := range p.records {
		p.records[place] = records[4:]
	}
	if err := drain(t, nextRelay(t, s, p)); !errors.Is(err, relay.ErrRewound) {
		t.Errorf("a rewound database was relayed: %v", err)
	}
}

// A database that was restored from a backup must not give out sequences twice.
func TestARewoundDatabaseIsRefusedUntilItHasANewSource(t *testing.T) {
	t.Parallel()
	s, p := setUp(t)
	for n := range 3 {
		s.Emit("tick", ticked{"c", n, ""})
	}
	if err := drain(t, relay.New(s.DB, p, p, slog.New(slog.DiscardHandler))); err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{ // as a backup taken after the first fact has it
		`delete from choreo.event_log where sequence > 1`, `update choreo.streams set head = 1`,
		`update choreo.forwarded set sequence = 1, next_offset = 1`, `update choreo.log_head set position = 1`, `delete from choreo.leases`,
	} {
		if _, err := s.DB.Pool().Exec(query); err != nil {
			t.Fatal(err)
		}
	}
	s.Emit("tick", ticked{"c", 10, ""})
	rewound := relay.New(s.DB, p, p, slog.New(slog.DiscardHandler))
	if err := drain(t, rewound); !errors.Is(err, relay.ErrRewound) {
		t.Fatalf("a rewound database was relayed: %v", err)
	}
	if n, err := rewound.Collect(t.Context()); !errors.Is(err, relay.ErrStandby) {
		t.Errorf("a relay that refuses has collected %d facts of the lost timeline as foreign: %v", n, err)
	}
	if _, _, err := choreo.NewEpoch(t.Context(), s.DB.Pool(), true); !errors.Is(err, choreo.ErrRelayActive) {
		t.Errorf("a new source while a relay is active: %v", err)
	}
	if _, err := s.DB.Pool().Exec(`delete from choreo.leases`); err != nil {
		t.Fatal(err)
	}
	_, source, err := choreo.NewEpoch(t.Context(), s.DB.Pool(), true)
	if err != nil {
		t.Fatal(err)
	}
	again, err := choreo.Open(t.Context(), s.DB.Pool(), s.DB.Flow(), choreo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := drain(t, relay.New(again, p, p, slog.New(slog.DiscardHandler))); err != nil {
		t.Fatal(err)
	}
	if again.Source() != source || s.Count(`select count(*) from choreo.event_log l join choreo.streams s on s.id = l.stream
		where s.source = $1 and l.sequence = 1`, source) != 1 {
		t.Errorf("the new source %s does not start again at 1", source)
	}
}
