package acceptance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Bad records on every partition of every topic: good work on the same
// partitions goes on, nothing is done again, nobody falls over, and what is no
// event is kept for a look.
func TestBadRecords(t *testing.T) {
	t.Parallel()
	const partitions = 2
	url, db := database(t)
	s := shared{up(t, onDatabase(url), onBroker(broker(t)), with("TROUPE_PARTITIONS", fmt.Sprint(partitions))), db}
	buyer := s.join(t, "buyer")
	paid, paidSaga := s.place(t, buyer, "tok_visa")
	refunded, refundedSaga := s.place(t, buyer, "tok_visa")
	s.confirmed(t, refunded)
	s.cancel(t, buyer, refunded)
	file := s.upload(t, buyer, "one.png", picture(9))
	post, postSaga := s.write(t, buyer, []string{"before"}, file)
	for _, saga := range []string{buyer.saga, paidSaga, refundedSaga, postSaga} {
		s.settled(t, saga)
	}
	s.quiet(t)
	before, ours := s.everything(t, strict), s.records(t)

	// Copies of our own records, in their place, in another partition and without
	// their sequence, are nothing new to anybody.
	for _, name := range topics {
		for p := range int32(partitions) {
			s.produce(t, copies(s.prefix+name, p, ours)...)
		}
	}
	s.quiet(t)
	s.unchanged(t, "copies of records", before, s.everything(t, strict))

	// What others wrote, or pretend that we did, may tell consumers something new;
	// it does nothing that was done.
	before = s.everything(t, done)
	for _, name := range topics {
		for p := range int32(partitions) {
			s.produce(t, bad(s.prefix+name, p, ours)...)
		}
	}
	s.quiet(t)
	s.unchanged(t, "bad records", before, s.everything(t, done))
	if err := s.alive(); err != nil {
		t.Fatal(err)
	}

	// Good work behind them, until each partition has had some.
	had := map[int32]bool{}
	for len(had) < partitions {
		id, saga := s.place(t, buyer, "tok_visa")
		s.comesOut(t, id, saga, orderBody{State: "confirmed", RefundStatus: "none"}, 1, 0)
		had[partitionOf(s.prefix+"orders", id, partitions)] = true
	}
	clear(had)
	for len(had) < partitions {
		id, saga := s.write(t, buyer, []string{"behind"}, s.upload(t, buyer, "two.png", picture(10)))
		s.postIn(t, id, "published")
		s.settled(t, saga)
		had[partitionOf(s.prefix+"posts", id, partitions)] = true
	}
	s.comesOut(t, paid, paidSaga, orderBody{State: "confirmed", RefundStatus: "none"}, 1, 0)
	s.comesOut(t, refunded, refundedSaga, orderBody{State: "canceled", RefundStatus: "completed"}, 1, 1)
	s.postIn(t, post, "published")

	// Of what is no event, each record is kept once per place, however many
	// consumers met it.
	for _, name := range []string{"accounts", "orders", "payments", "posts"} {
		for p := range partitions {
			if n := s.count(t, `select count(*) from choreo.quarantine where topic = $1 and partition = $2`, name, p); n < 8 {
				t.Errorf("of %s/%d %d records are kept for a look; want those that are no events", name, p, n)
			}
		}
	}
	if out := s.count(t, `select count(*) from choreo.steps where state = 'parked'`); out > 0 {
		t.Errorf("%d steps are parked", out)
	}
}

// How closely everything is looked at: strictly, also at what was tried again to
// no effect and at the facts of it, or at what was done alone.
const (
	strict = iota
	done
)

// everything is a line for each thing that must not change: what was done
// outside, what stands in rows, and the log.
func (s shared) everything(t *testing.T, how int) (lines []string) {
	t.Helper()
	rows, err := s.db.Query(`select table_schema || '.' || table_name from information_schema.tables
		where table_schema in ('public', 'sandbox') and table_type = 'BASE TABLE' and table_name not like '%version%' order by 1`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var tables []string
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			t.Fatal(err)
		}
		if how == done && (table == "sandbox.mail" || table == "sandbox.payment") {
			table = "(select * from " + table + " where status <> 'replayed')"
		}
		tables = append(tables, table)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if how == strict {
		tables = append(tables, "choreo.event_log", "choreo.outbox")
	}
	for _, table := range tables {
		var digest string
		err := s.db.QueryRow(`select count(*) || ' rows ' || coalesce(md5(string_agg(r::text, '|' order by r::text)), '') from ` + table + ` r`).Scan(&digest)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, table+": "+digest)
	}
	return lines
}

// unchanged compares two looks at everything.
func (s shared) unchanged(t *testing.T, by string, before, after []string) {
	t.Helper()
	for i := range before {
		if before[i] != after[i] {
			t.Errorf("%s changed what is there: %s; before: %s", by, after[i], before[i])
		}
	}
}

// copies are the real records of a topic again, for one partition.
func copies(topic string, partition int32, ours []*kgo.Record) (list []*kgo.Record) {
	for _, r := range ours {
		if r.Topic != topic {
			continue
		}
		again, bare := *r, *r
		again.Partition, bare.Partition = partition, partition
		bare.Headers = slices.DeleteFunc(slices.Clone(r.Headers), func(h kgo.RecordHeader) bool { return h.Key == "ce_sequence" })
		list = append(list, &again, &bare)
	}
	return list
}

// bad are records that nobody should have written, for one partition.
func bad(topic string, partition int32, ours []*kgo.Record) (list []*kgo.Record) {
	add := func(key, value []byte, headers ...string) {
		r := &kgo.Record{Topic: topic, Partition: partition, Key: key, Value: value}
		for i := 0; i+1 < len(headers); i += 2 {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: headers[i], Value: []byte(headers[i+1])})
		}
		list = append(list, r)
	}
	source := header(ours[0], "ce_source")
	kinds := map[string]bool{}
	for _, r := range ours {
		if r.Topic != topic {
			continue
		}
		name := header(r, "ce_type")
		if kinds[name] {
			continue
		}
		kinds[name] = true
		add(r.Key, nil, "ce_type", name)                        // empty
		add(r.Key, r.Value[:len(r.Value)/2], "ce_type", name)   // truncated
		add(r.Key, []byte("\xff\xfe no JSON"), "ce_type", name) // none at all
		add(r.Key, []byte(`[1, 2, 3]`), "ce_type", name)        // of a wrong type
		add(r.Key, []byte(`{"orderId": 5, "postId": {}, "accountId": []}`), "ce_type", name)
		add(r.Key, []byte(`{}`), "ce_type", name) // without any field
		add(r.Key, r.Value)                       // without headers
		add(r.Key, r.Value, "ce_type", "")
		add(r.Key, r.Value, "ce_type", name, "ce_id", strings.Repeat("x", 300), "ce_source", source)
		add(r.Key, r.Value, "ce_type", name, "ce_id", "a\x00b", "ce_source", "\xff\xff")
		// Forged: our source, a new id, and a sequence of the past, the present
		// and far beyond the log.
		foreign := *r // somebody else's event under the id of ours
		foreign.Partition = partition
		foreign.Headers = []kgo.RecordHeader{
			{Key: "ce_type", Value: []byte(name)}, {Key: "ce_id", Value: []byte(header(r, "ce_id"))}, {Key: "ce_source", Value: []byte("/shop/elsewhere")},
		}
		list = append(list, &foreign)
		for _, sequence := range []string{"1", "2", "9000000000000000000", "-1", "nonsense"} {
			forged := *r
			forged.Partition = partition
			forged.Headers = slices.Clone(r.Headers)
			for i, h := range forged.Headers {
				switch h.Key {
				case "ce_id":
					forged.Headers[i].Value = []byte("forged-" + sequence + "-" + string(h.Value))
				case "ce_sequence":
					forged.Headers[i].Value = []byte(sequence)
				}
			}
			list = append(list, &forged)
		}
	}
	short := topic[strings.LastIndexByte(topic, '-')+1:]
	add(nil, nil)
	add([]byte("key"), []byte(`{}`), "ce_type", short+".NobodyKnowsThis.v7")
	add([]byte("key"), []byte(`{}`), "ce_type", short+".NobodyKnowsThis.v7", "ce_source", source, "ce_id", "x", "ce_sequence", "99")
	add([]byte{0xff, 0, 0xfe}, []byte(`{"a":1}`), "ce_type", short+".Odd.v1")
	add(nil, []byte(`{"a":`), "content-type", "application/cloudevents+json")
	add(nil, []byte(`{"specversion":"1.0"}`), "content-type", "application/cloudevents+json; charset=UTF-8")
	add([]byte("big"), bytes.Repeat([]byte("x"), 1_000_000), "ce_type", short+".Big.v1")
	large, _ := json.Marshal(map[string]string{"orderId": "big", "postId": "big", "accountId": "big", "text": strings.Repeat("y", 1_000_000)})
	for name := range kinds {
		add([]byte("big"), large, "ce_type", name)
		break
	}
	// A foreign producer's event, in structured mode.
	foreign, _ := json.Marshal(map[string]any{
		"specversion": "1.0", "id": "f-1", "source": "/shop/elsewhere", "type": "com.example.thing",
		"datacontenttype": "application/json", "data": map[string]int{"n": 1},
	})
	add([]byte("f"), foreign, "content-type", "application/cloudevents+json")
	return list
}
