package consume_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"troupe/choreo"
	"troupe/choreo/choreotest"
)

// The tests' own choreography: a coin is tossed; note writes it down, and an
// effect rings a bell for it, whose ringing is heard.
type tossed struct {
	CoinID string `json:"coinId"`
	N      int    `json:"n"`
}
type rung struct {
	CoinID string `json:"coinId"`
	N      int    `json:"n"`
}

func (tossed) FactType() string { return "coins.Tossed.v1" }
func (f tossed) Key() string    { return f.CoinID }
func (rung) FactType() string   { return "bells.Rung.v1" }
func (f rung) Key() string      { return f.CoinID }

func migrate(ctx context.Context, pool *sql.DB) error {
	if err := choreo.Migrate(ctx, pool); err != nil {
		return err
	}
	_, err := pool.ExecContext(ctx, `
		create table notes (id bigint generated always as identity, coin text, n int);
		create table heard (id bigint generated always as identity, coin text, n int)`)
	return err
}

func note(ctx context.Context, tx *choreo.Tx, e choreo.Event[tossed]) error {
	if strings.HasPrefix(e.Fact.CoinID, "bad") && e.Fact.N == 0 {
		return errors.New("this coin is bad")
	}
	if strings.HasPrefix(e.Fact.CoinID, "odd") {
		_, err := tx.ExecContext(ctx, `insert into notes (coin, n) values ($1, 1 / ($2::int - $2::int))`, e.Fact.CoinID, e.Fact.N)
		return err
	}
	if strings.HasPrefix(e.Fact.CoinID, "panic") {
		panic("this coin is worse")
	}
	_, err := tx.ExecContext(ctx, `insert into notes (coin, n) values ($1, $2)`, e.Fact.CoinID, e.Fact.N)
	return err
}

func hear(ctx context.Context, tx *choreo.Tx, e choreo.Event[rung]) error {
	_, err := tx.ExecContext(ctx, `insert into heard (coin, n) values ($1, $2)`, e.Fact.CoinID, e.Fact.N)
	return err
}

// bell is an effect that counts its calls, and whose call blocks for coins that
// are to block.
type bell struct {
	mu    *sync.Mutex
	calls map[string]int
	block <-chan struct{}
}

func (bell) Load(context.Context, *choreo.Tx, choreo.Event[tossed]) (int, error) { return 1, nil }

func (b bell) Call(ctx context.Context, key string, e choreo.Event[tossed], _ int) (int, error) {
	b.mu.Lock()
	b.calls[key]++
	tries := b.calls[key]
	b.mu.Unlock()
	if strings.HasPrefix(e.Fact.CoinID, "slow") {
		select {
		case <-b.block:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	if strings.HasPrefix(e.Fact.CoinID, "flaky") && tries < 3 {
		return 0, errors.New("not yet")
	}
	return e.Fact.N, nil
}

func (bell) Record(_ context.Context, tx *choreo.Tx, e choreo.Event[tossed], n int) error {
	tx.Emit(rung{e.Fact.CoinID, n})
	return nil
}

func theatre(t *testing.T, block <-chan struct{}) (*choreotest.Stage, bell) {
	t.Helper()
	b := bell{mu: &sync.Mutex{}, calls: map[string]int{}, block: block}
	flow, err := choreo.NewFlow(
		choreo.Command("toss").Emits(tossed{}),
		choreo.On("note", note).Retry(choreo.RetryPolicy{Base: time.Millisecond, Factor: 1, Most: time.Millisecond, Tries: 3}),
		choreo.OnEffect("ring", b).Emits(rung{}).Retry(choreo.RetryPolicy{Base: time.Millisecond, Factor: 1, Most: time.Millisecond}),
		choreo.On("hear", hear).Local(),
	)
	if err != nil {
		t.Fatal(err)
	}
	return choreotest.New(t, flow, migrate), b
}

func TestEveryFactOnceAndInOrderPerKey(t *testing.T) {
	t.Parallel()
	s, b := theatre(t, nil)
	s.Perform()
	const coins, each = 10, 20
	for n := range each {
		for c := range coins {
			s.Emit("toss", tossed{fmt.Sprintf("c%d", c), n})
		}
	}
	for _, table := range []string{"notes", "heard"} {
		choreotest.Eventually(t, table+" is complete", func() bool { return s.Count(`select count(*) from `+table) == coins*each })
		if n := s.Count(`select count(*) from (select n <> row_number() over (partition by coin order by id) - 1 as wrong from ` + table + `) x where wrong`); n > 0 {
			t.Errorf("%d of %s are out of order", n, table)
		}
	}
	if n := s.Count(`select count(*) from (select sequence <> row_number() over (partition by stream order by sequence) as hole from choreo.event_log) x where hole`); n > 0 {
		t.Errorf("%d sequences are not gapless", n)
	}
	for key, n := range b.calls {
		if n != 1 {
			t.Errorf("%s was called %d times", key, n)
		}
	}
}

func TestABadKeyHoldsUpOnlyItself(t *testing.T) {
	t.Parallel()
	block := make(chan struct{})
	s, _ := theatre(t, block)
	s.Perform()
	for _, coin := range []string{"bad", "panic", "slow"} {
		s.Emit("toss", tossed{coin, 0})
		s.Emit("toss", tossed{coin, 1})
	}
	s.Emit("toss", tossed{"flaky", 1})
	for n := range 30 {
		s.Emit("toss", tossed{fmt.Sprintf("good%d", n), 1})
	}
	choreotest.Eventually(t, "good ones and the flaky one are heard", func() bool { return s.Count(`select count(*) from heard where coin not in ('bad','panic')`) == 31 })
	choreotest.Eventually(t, "good ones are noted", func() bool { return s.Count(`select count(*) from notes where coin like 'good%'`) == 30 })
	choreotest.Eventually(t, "the bad ones are parked", func() bool { return s.Count(`select count(*) from choreo.steps where state = 'parked'`) == 2 })
	if n := s.Count(`select count(*) from notes where coin = 'bad'`); n != 0 {
		t.Errorf("a later event of a parked line was applied: order within the key is lost")
	}
	close(block)
	choreotest.Eventually(t, "the slow one is heard, in order", func() bool { return s.Count(`select count(*) from heard where coin = 'slow'`) == 2 })
	if n := s.Count(`select count(*) from heard a join heard b on a.coin = b.coin and a.n < b.n and a.id > b.id`); n > 0 {
		t.Error("the slow line is out of order")
	}
}

func TestWhatComesAgainChangesNothing(t *testing.T) {
	t.Parallel()
	s, b := theatre(t, nil)
	p := s.Perform()
	for n := range 50 {
		s.Emit("toss", tossed{fmt.Sprintf("c%d", n%5), n})
	}
	choreotest.Eventually(t, "all is heard", func() bool { return s.Count(`select count(*) from heard`) == 50 })
	p.Stop()
	// A relay that died before it stored how far it came publishes again, and
	// consumers whose offsets are gone read all of it from the beginning.
	if _, err := s.DB.Pool().Exec(`update choreo.forwarded set sequence = 0`); err != nil {
		t.Fatal(err)
	}
	p.Broker.Prefix += "again-"
	p.Start()
	s.Emit("toss", tossed{"last", 1})
	choreotest.Eventually(t, "the last one is heard", func() bool { return s.Count(`select count(*) from heard where coin = 'last'`) == 1 })
	choreotest.Eventually(t, "the last one is noted", func() bool { return s.Count(`select count(*) from notes where coin = 'last'`) == 1 })
	if n := s.Count(`select count(*) from notes`); n != 51 {
		t.Errorf("%d notes, want 51", n)
	}
	for key, n := range b.calls {
		if n != 1 {
			t.Errorf("%s was called %d times", key, n)
		}
	}
}

func TestRecordsOfOthersAndBadOnes(t *testing.T) {
	t.Parallel()
	s, b := theatre(t, nil)
	p := s.Perform()
	s.Emit("toss", tossed{"real", 1})
	choreotest.Eventually(t, "the real one is heard", func() bool { return s.Count(`select count(*) from heard`) == 1 })
	header := func(pairs ...string) (h []kafka.Header) {
		for i := 0; i < len(pairs); i += 2 {
			h = append(h, kafka.Header{Key: pairs[i], Value: []byte(pairs[i+1])})
		}
		return h
	}
	good := []byte(`{"coinId":"foreign","n":3}`)
	bare := header("ce_type", "coins.Tossed.v1")
	records := []kafka.Message{
		{},                                      // empty
		{Headers: bare},                         // without data
		{Headers: bare, Value: good[:10]},       // truncated
		{Headers: bare, Value: []byte("hello")}, // no JSON
		{Headers: bare, Value: []byte(`{"coinId":["list"],"n":"x"}`)},                                         // wrong types
		{Headers: bare, Value: []byte(`{"n":3}`)},                                                             // no key in it
		{Headers: header("ce_type", "coins.Melted.v9"), Value: good},                                          // unknown type
		{Headers: header("ce_id", strings.Repeat("x", 300), "ce_type", "coins.Tossed.v1"), Value: good},       // an endless id
		{Headers: header("ce_type", "coins.Tossed.v1", "ce_id", "a\x00b"), Value: good},                       // no text
		{Headers: bare, Key: []byte{0xff, 0}, Value: good},                                                    // a key that is no text
		{Headers: bare, Value: []byte(`{"coinId":"big","n":1,"pad":"` + strings.Repeat("x", 900<<10) + `"}`)}, // large, and sound
		{Headers: header("ce_type", "coins.Tossed.v1", "ce_source", s.DB.Source(), "ce_id", "forged", "ce_sequence", "999999"),
			Value: []byte(`{"coinId":"forged","n":1}`)},
		{Headers: header("ce_type", "coins.Tossed.v1", "ce_source", "/crm", "ce_id", "twice"), Value: []byte(`{"coinId":"twice","n":1}`)},
		{Headers: header("ce_type", "coins.Tossed.v1", "ce_source", "/crm", "ce_id", "twice"), Value: []byte(`{"coinId":"twice","n":1}`)},
		{Headers: header("content-type", "application/cloudevents+json"),
			Value: []byte(`{"specversion":"1.0","id":"s","source":"/crm","type":"coins.Tossed.v1","data":{"coinId":"structured","n":1}}`)},
		{Key: []byte("foreign"), Headers: bare, Value: good},
	}
	w := &kafka.Writer{Addr: kafka.TCP(p.Broker.Brokers...), Topic: p.Broker.Prefix + "coins", RequiredAcks: kafka.RequireAll,
		BatchTimeout: time.Millisecond, BatchBytes: 2 << 20, MaxAttempts: 30, Balancer: &kafka.RoundRobin{}}
	defer w.Close()
	write(t, w, records...)
	for n := range 20 {
		s.Emit("toss", tossed{fmt.Sprintf("after%d", n), 1})
	}
	// Once each: real, big, forged (as a foreign one), twice, structured,
	// foreign, and the 20 that come after.
	const want = 26
	choreotest.Eventually(t, "the sound ones are heard", func() bool { return s.Count(`select count(*) from heard`) >= want })
	choreotest.Eventually(t, "the sound ones are noted", func() bool { return s.Count(`select count(*) from notes`) >= want })
	if h, n := s.Count(`select count(*) from heard`), s.Count(`select count(*) from notes`); h != want || n != want {
		t.Errorf("%d heard and %d noted, want %d", h, n, want)
	}
	if n := s.Count(`select count(*) from choreo.quarantine`); n != 9 {
		t.Errorf("%d bad records kept, want 9", n)
	}
	for key, n := range b.calls {
		if n != 1 {
			t.Errorf("%s was called %d times", key, n)
		}
	}
}

// One event that the database refuses is set aside; when everything fails in the
// same way it is the consumer's fault, which stops and says why.
func TestAConsumerThatFailsOnEverythingStops(t *testing.T) {
	t.Parallel()
	s, _ := theatre(t, nil)
	s.Emit("toss", tossed{"odd", 1})
	s.Emit("toss", tossed{"even", 1})
	p := s.Perform()
	choreotest.Eventually(t, "its neighbour is noted", func() bool { return s.Count(`select count(*) from notes`) == 1 })
	choreotest.Eventually(t, "the odd one is parked", func() bool { return s.Count(`select count(*) from choreo.steps where state = 'parked'`) == 1 })
	for n := range 40 {
		s.Emit("toss", tossed{fmt.Sprintf("odd%d", n), 1})
	}
	choreotest.Eventually(t, "the consumer says that it is broken", func() bool {
		err := p.Ready()
		return err != nil && strings.Contains(err.Error(), "22012")
	})
	if n := s.Count(`select count(*) from choreo.steps where consumer = 'note'`); n > 20 {
		t.Errorf("%d events were set aside by a consumer that is broken", n)
	}
}

// Copies of our own records, on another partition or without their sequence, and
// foreign events that reuse one of our ids, do nothing twice and hold up nobody.
func TestCopiesOfOurRecords(t *testing.T) {
	t.Parallel()
	s, b := theatre(t, nil)
	p := s.Perform()
	s.Emit("toss", tossed{"real", 1})
	choreotest.Eventually(t, "the real one is heard", func() bool { return s.Count(`select count(*) from heard`) == 1 })
	var id, sequence string
	err := s.DB.Pool().QueryRowContext(t.Context(), `select event_id, sequence::text from choreo.event_log
		where type = 'coins.Tossed.v1'`).Scan(&id, &sequence)
	if err != nil {
		t.Fatal(err)
	}
	record := func(partition int, source, sequence, coin string) kafka.Message {
		headers := []kafka.Header{{Key: "ce_type", Value: []byte("coins.Tossed.v1")}, {Key: "ce_id", Value: []byte(id)},
			{Key: "ce_source", Value: []byte(source)}}
		if sequence != "" {
			headers = append(headers, kafka.Header{Key: "ce_sequence", Value: []byte(sequence)})
		}
		return kafka.Message{Key: []byte(coin), Partition: partition, Headers: headers, Value: fmt.Appendf(nil, `{"coinId":%q,"n":1}`, coin)}
	}
	w := &kafka.Writer{Addr: kafka.TCP(p.Broker.Brokers...), Topic: p.Broker.Prefix + "coins", RequiredAcks: kafka.RequireAll,
		BatchTimeout: time.Millisecond, MaxAttempts: 30, Balancer: &kafka.RoundRobin{}}
	defer w.Close()
	var records []kafka.Message
	for range 4 { // round robin: each on every partition
		records = append(records, record(0, s.DB.Source(), sequence, "real"), record(0, s.DB.Source(), "", "real"),
			record(0, s.DB.Source(), "999", "real"))
	}
	records = append(records, record(0, "/crm", "", "namesake"), record(0, "/crm", "", "namesake"))
	write(t, w, records...)
	for n := range 20 {
		s.Emit("toss", tossed{fmt.Sprintf("after%d", n), 1})
	}
	choreotest.Eventually(t, "those after it are heard", func() bool { return s.Count(`select count(*) from heard where coin like 'after%'`) == 20 })
	choreotest.Eventually(t, "the namesake is heard", func() bool { return s.Count(`select count(*) from heard where coin = 'namesake'`) == 1 })
	choreotest.Eventually(t, "all is noted", func() bool { return s.Count(`select count(*) from notes`) >= 22 })
	if h, n := s.Count(`select count(*) from heard`), s.Count(`select count(*) from notes`); h != 22 || n != 22 {
		t.Errorf("%d heard and %d noted, want 22 each", h, n)
	}
	for key, n := range b.calls {
		if n != 1 && !strings.HasSuffix(key, id) { // the namesake's call has the key of the real one
			t.Errorf("%s was called %d times", key, n)
		}
	}
}

// write writes records to a topic that may have been made a moment ago.
func write(t *testing.T, w *kafka.Writer, records ...kafka.Message) {
	t.Helper()
	choreotest.Eventually(t, "the broker knows the topic", func() bool {
		err := w.WriteMessages(t.Context(), records...)
		if err != nil && !errors.Is(err, kafka.UnknownTopicOrPartition) {
			t.Fatal(err)
		}
		return err == nil
	})
}
