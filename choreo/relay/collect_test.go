package relay_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"troupe/choreo"
	"troupe/choreo/choreotest"
	"troupe/choreo/relay"
	"troupe/choreo/wire"
)

// puts is somebody else who writes to our topic.
func (p *press) puts(partition int32, value string, headers ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	place := fmt.Sprint("clocks", partition)
	r := &wire.Record{Topic: "clocks", Partition: partition, Offset: int64(len(p.records[place])), Value: []byte(value)}
	for i := 0; i < len(headers); i += 2 {
		r.Headers = append(r.Headers, wire.Header{Name: headers[i], Value: []byte(headers[i+1])})
	}
	p.records[place] = append(p.records[place], r)
}

func collect(t *testing.T, r *relay.Relay) {
	t.Helper()
	for n := 1; n > 0; {
		var err error
		if n, err = r.Collect(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatOthersPutOnOurTopicsStandsInTheLogOnce(t *testing.T) {
	t.Parallel()
	s, p := setUp(t)
	r := relay.New(s.DB, p, p, slog.New(slog.DiscardHandler))
	emit := func(n int) string {
		t.Helper()
		id := s.Emit("tick", ticked{"c", n, ""}).EventID
		if err := drain(t, r); err != nil {
			t.Fatal(err)
		}
		return id
	}
	own := emit(1)
	const typ = "clocks.Ticked.v1"
	good := `{"clockId":"theirs","n":1}`
	for range 2 { // the second time it is the same event
		p.puts(0, good, "ce_type", typ, "ce_source", "/crm", "ce_id", "twice", "ce_correlationid", "a saga of theirs")
	}
	emit(2)
	p.puts(1, good, "ce_type", typ)                                                                           // without an id
	p.puts(1, good, "ce_type", typ)                                                                           // another one
	p.puts(2, good, "ce_type", typ, "ce_source", "/crm", "ce_id", own)                                        // a namesake of ours
	p.puts(2, good, "ce_type", typ, "ce_source", s.DB.Source(), "ce_id", "forged", "ce_sequence", "999")      // and one in our name
	p.puts(2, good, "ce_type", "clocks.Wound.v1", "ce_source", "/crm", "ce_id", "wound")                      // which a newer binary may know
	p.puts(2, good, "ce_type", typ, "ce_source", s.DB.Source(), "ce_id", own, "ce_sequence", "1")             // a copy of ours
	p.puts(2, `{`, "ce_type", typ, "ce_source", "/crm", "ce_id", "broken")                                    // no fact
	p.puts(2, `\x00`, "ce_type", "clocks.Melted.v1", "ce_source", "/crm", "ce_id", "useless")                 // nobody's
	p.puts(2, good, "ce_type", typ, "ce_source", "/crm", "ce_id", "a\x00b")                                   // no text
	p.puts(2, good, "ce_type", typ, "ce_source", choreo.Origin(s.DB.Source())+"0", "ce_id", "of a lost time") // of a restore
	collect(t, r)
	emit(3)
	check := func(when string) {
		t.Helper()
		for query, want := range map[string]int{
			`select count(*) from choreo.event_log where source <> ''`:                                                          6,
			`select count(*) from choreo.event_log where source = '/crm' and event_id = 'twice' and saga = 'a saga of theirs'`:  1,
			`select count(*) from choreo.event_log where source = '/kafka/clocks' and key = event_id and stream is null`:        3,
			`select count(*) from choreo.event_log where source = '/kafka/clocks' and event_id = 'forged' and sequence is null`: 1,
			`select count(*) from choreo.event_log where source = '' and stream is not null`:                                    3,
			`select count(*) from choreo.foreign_records f join choreo.event_log l using (position) where l.source <> ''`:       6,
			`select count(*) from choreo.quarantine where consumer = 'relay'`:                                                   3,
			`select max(position) from choreo.event_log`:                                                                        9,
		} {
			if n := s.Count(query); n != want {
				t.Errorf("%s, %s: %d, want %d", when, query, n, want)
			}
		}
	}
	check("at first")
	r = nextRelay(t, s, p)
	if err := drain(t, r); err != nil {
		t.Fatal(err)
	}
	collect(t, r)
	check("after the relay has changed")
	exec(t, s, `delete from choreo.collected`, noLease) // what was stored lazily is lost
	r = relay.New(s.DB, p, p, slog.New(slog.DiscardHandler))
	if err := drain(t, r); err != nil {
		t.Fatal(err)
	}
	collect(t, r)
	check("when all is read again")
}

// What the relay wrote itself it does not read again.
func TestOnlyTheGapsAreRead(t *testing.T) {
	t.Parallel()
	s, p := setUp(t)
	r := relay.New(s.DB, p, p, slog.New(slog.DiscardHandler))
	if err := drain(t, r); err != nil {
		t.Fatal(err)
	}
	collect(t, r)
	p.read = 0
	for n := range 50 {
		s.Emit("tick", ticked{fmt.Sprint(n), n, ""})
	}
	if err := drain(t, r); err != nil {
		t.Fatal(err)
	}
	p.puts(0, `{"clockId":"theirs","n":1}`, "ce_type", "clocks.Ticked.v1", "ce_id", "x", "ce_source", "/crm")
	s.Emit("tick", ticked{"0", 1, ""})
	if err := drain(t, r); err != nil {
		t.Fatal(err)
	}
	collect(t, r)
	if p.read > 2 {
		t.Errorf("%d records were read for one that is foreign", p.read)
	}
	if n := s.Count(`select count(*) from choreo.event_log where source = '/crm'`); n != 1 {
		t.Errorf("it stands in the log %d times", n)
	}
}

// What a relay published up to its end, the next need not read again.
func TestAStoppedRelayHasStoredHowFarItCollected(t *testing.T) {
	t.Parallel()
	s, p := setUp(t)
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error)
	go func() { ran <- relay.New(s.DB, p, p, slog.New(slog.DiscardHandler)).Run(ctx, nil) }()
	for n := range 50 {
		s.Emit("tick", ticked{fmt.Sprint(n), n, ""})
	}
	choreotest.Eventually(t, "all is forwarded", func() bool { return s.Count(`select coalesce(sum(sequence), 0) from choreo.forwarded`) == 50 })
	stop()
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
	if n := s.Count(`select sum(next_offset) from choreo.collected`); n != 50 {
		t.Errorf("the next relay begins at %d, want 50", n)
	}
}

// Where all that is read is ours, as after a relay was killed, the lease is not
// locked: sequencing need not wait for it.
func TestReadingOurOwnDoesNotHoldUpTheRelay(t *testing.T) {
	t.Parallel()
	s, p := setUp(t)
	s.Emit("tick", ticked{"c", 1, ""}, ticked{"d", 1, ""})
	if err := drain(t, relay.New(s.DB, p, p, slog.New(slog.DiscardHandler))); err != nil { // and it is killed
		t.Fatal(err)
	}
	r := nextRelay(t, s, p)
	if err := drain(t, r); err != nil {
		t.Fatal(err)
	}
	tx, err := s.DB.Pool().Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback() // it only holds the lock
	if _, err := tx.Exec(`select from choreo.leases for update`); err != nil {
		t.Fatal(err)
	}
	within, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	p.read = 0
	if _, err := r.Collect(within); err != nil || p.read != 2 {
		t.Errorf("%d records of our own were read: %v", p.read, err)
	}
}

// A stand-by collects nothing.
func TestOneRelayCollects(t *testing.T) {
	t.Parallel()
	s, p := setUp(t)
	first := relay.New(s.DB, p, p, slog.New(slog.DiscardHandler))
	if err := drain(t, first); err != nil {
		t.Fatal(err)
	}
	p.puts(0, `{"clockId":"theirs","n":1}`, "ce_type", "clocks.Ticked.v1", "ce_id", "x", "ce_source", "/crm")
	if _, err := relay.New(s.DB, p, p, slog.New(slog.DiscardHandler)).Collect(t.Context()); err == nil {
		t.Error("a stand-by collects")
	}
	collect(t, first)
	choreotest.Eventually(t, "it is there", func() bool { return s.Count(`select count(*) from choreo.event_log`) == 1 })
}

// A record with the next sequence of ours, which nobody but a forger can have
// written, does not have the next relay refuse, as a lost fact does.
func TestAForgedRecordIsNoRestore(t *testing.T) {
	t.Parallel()
	s, p := setUp(t)
	id := s.Emit("tick", ticked{"c", 1, ""}).EventID
	if err := drain(t, relay.New(s.DB, p, p, slog.New(slog.DiscardHandler))); err != nil {
		t.Fatal(err)
	}
	for partition := range int32(3) {
		for sequence := range 3 {
			for _, id := range []string{id, "forged", "18f5c2ee-8b1d-4c6e-9d0b-0e6f9d3a1b2c"} {
				p.puts(partition, `{"clockId":"forged","n":1}`, "ce_type", "clocks.Ticked.v1", "ce_source", s.DB.Source(),
					"ce_id", id, "ce_sequence", fmt.Sprint(sequence+1))
			}
		}
	}
	s.Emit("tick", ticked{"c", 2, ""})
	r := nextRelay(t, s, p)
	if err := drain(t, r); err != nil {
		t.Fatal(err)
	}
	collect(t, r)
	if n := s.Count(`select count(*) from choreo.event_log where source = ''`); n != 2 {
		t.Errorf("the log holds %d facts of ours, want 2", n)
	}
	for _, sequences := range p.out {
		if fmt.Sprint(sequences) != "[1 2]" {
			t.Errorf("published %v, want 1 and 2", sequences)
		}
	}
	looksLost := func(id string) {
		p.puts(0, `{"clockId":"lost","n":1}`, "ce_type", "clocks.Ticked.v1", "ce_source", s.DB.Source(), "ce_id", id,
			"ce_sequence", fmt.Sprint(s.Count(`select head + 1 from choreo.streams where partition = 0`)))
	}
	looksLost("019c0000-0000-7000-8000-000000000000")
	collect(t, r) // an active relay has read past it: nothing was missing then
	if err := drain(t, nextRelay(t, s, p)); err != nil {
		t.Errorf("a forged record that a relay has read past: %v", err)
	}
	looksLost("019c0000-0000-7000-8000-000000000001")
	if err := drain(t, nextRelay(t, s, p)); !errors.Is(err, relay.ErrRewound) {
		t.Errorf("a fact that this database must have lost: %v", err)
	}
}

// A forged record does not stand in for a fact that is still to be forwarded.
func TestAForgedRecordStandsInForNoFact(t *testing.T) {
	t.Parallel()
	s, p := setUp(t)
	r := relay.New(s.DB, p, p, slog.New(slog.DiscardHandler))
	s.Emit("tick", ticked{"c", 1, ""})
	if _, err := r.Sequence(t.Context()); err != nil { // and it dies before it forwards
		t.Fatal(err)
	}
	p.puts(int32(s.Count(`select partition from choreo.streams where head = 1`)), `{"clockId":"forged","n":1}`,
		"ce_type", "clocks.Ticked.v1", "ce_source", s.DB.Source(), "ce_id", "019c0000-0000-7000-8000-000000000000", "ce_sequence", "1")
	if err := drain(t, nextRelay(t, s, p)); err != nil {
		t.Fatal(err)
	}
	if len(p.out) != 1 {
		t.Errorf("published %v, want the fact", p.out)
	}
}
