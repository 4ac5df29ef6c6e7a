package wire

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"troupe/choreo"
)

// The partitions that org.apache.kafka.common.utils.Utils.murmur2 gives; the
// first two hashes stand in Kafka's own UtilsTest.
func TestMurmur2IsThatOfJavaClients(t *testing.T) {
	for key, want := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string":                       -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		if got := int32(murmur2([]byte(key))); got != want {
			t.Errorf("murmur2(%q) = %d, want %d", key, got, want)
		}
	}
}

func TestAnEventComesBackAsItWent(t *testing.T) {
	sent := choreo.Meta{
		ID: "id-1", Source: "/troupe/db/1", Type: "orders.OrderShipped.v1", Key: "o-1",
		Time: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), Saga: "s-1", Causation: "c-1", Emitter: "ship-order",
		Sequence: 7, RanIn: []string{"a", "b"}, TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}
	got, data, err := Parse(Encode(sent, []byte(`{"orderId":"o-1"}`), 3))
	if err != nil {
		t.Fatal(err)
	}
	if string(data) != `{"orderId":"o-1"}` {
		t.Errorf("data is %s", data)
	}
	if !reflect.DeepEqual(got, sent) {
		t.Errorf("got %+v, sent %+v", got, sent)
	}
}

func TestRecordsOfOthers(t *testing.T) {
	type headers map[string]string
	for name, c := range map[string]struct {
		headers headers
		key     string
		payload string
		want    choreo.Meta
		bad     bool
	}{
		"bare": {headers: headers{"ce_type": "posts.PostCreated.v1"}, key: "p", payload: "{}",
			want: choreo.Meta{Type: "posts.PostCreated.v1", Source: "/kafka/posts", Key: "p"}},
		"names in capitals": {headers: headers{"CE_Type": "posts.PostCreated.v1", "Ce_Id": "x"}, key: "p", payload: "{}",
			want: choreo.Meta{ID: "x", Type: "posts.PostCreated.v1", Source: "/kafka/posts", Key: "p"}},
		"structured": {headers: headers{"content-type": "application/cloudevents+json; charset=utf-8"}, key: "p",
			payload: `{"specversion":"1.0","id":"x","source":"/crm","type":"posts.PostCreated.v1","sequence":4,"correlationid":"saga","data":{}}`,
			want:    choreo.Meta{ID: "x", Type: "posts.PostCreated.v1", Source: "/crm", Key: "p", Saga: "saga", Sequence: 4}},
		"no type":            {payload: "{}", bad: true},
		"structured garbage": {headers: headers{"content-type": "application/cloudevents+json"}, payload: `{"spec`, bad: true},
		"long id":            {headers: headers{"ce_type": "a.B.v1", "ce_id": strings.Repeat("x", 256)}, bad: true},
		"NUL in id":          {headers: headers{"ce_type": "a.B.v1", "ce_id": "a\x00b"}, bad: true},
		"key is not text":    {headers: headers{"ce_type": "a.B.v1"}, key: "\xff\xfe", bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Record{Topic: "posts", TopicID: "6ba7b810-9dad-11d1-80b4-00c04fd430c8", Partition: 2, Offset: 9,
				Key: []byte(c.key), Value: []byte(c.payload), Time: time.Unix(1, 0)}
			for name, value := range c.headers {
				r.Headers = append(r.Headers, Header{name, []byte(value)})
			}
			got, _, err := Parse(r)
			if c.bad {
				if !errors.Is(err, ErrMalformed) {
					t.Fatalf("err is %v, want ErrMalformed", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Type != c.want.Type || got.Source != c.want.Source || got.Key != c.want.Key || got.Sequence != c.want.Sequence {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if c.want.ID == "" && got.ID != placeID(r) || c.want.ID != "" && got.ID != c.want.ID {
				t.Errorf("id is %q", got.ID)
			}
			if c.want.Saga == "" && got.Saga != got.ID {
				t.Errorf("saga is %q, want the id", got.Saga)
			}
		})
	}
}

// Sequence says what Parse says, or nothing.
func TestSequenceOfARecord(t *testing.T) {
	t.Parallel()
	whole := Encode(choreo.Meta{ID: "1", Source: "/troupe/a/1", Type: "a.B.v1", Key: "k", Sequence: 7}, []byte("{}"), 0)
	with := func(name, value string) *Record {
		r := *whole
		r.Headers = append(append([]Header{}, whole.Headers...), Header{Name: name, Value: []byte(value)})
		return &r
	}
	for name, c := range map[string]struct {
		record *Record
		want   int64
	}{
		"ours":              {whole, 7},
		"the last counts":   {with("ce_sequence", "9"), 9},
		"no number":         {with("ce_sequence", "nine"), 0},
		"negative":          {with("ce_sequence", "-9"), 0},
		"no type":           {with("ce_type", ""), 0},
		"no source":         {with("ce_source", ""), 0},
		"structured":        {with("content-type", "application/cloudevents+json"), 0},
		"without a header":  {&Record{}, 0},
		"somebody's header": {with("ce_other", "x"), 7},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source, got := Sequence(c.record)
			if got != c.want {
				t.Errorf("sequence %d, want %d", got, c.want)
			}
			if m, _, err := Parse(c.record); got != 0 && (err != nil || m.Sequence != got || m.Source != string(source)) {
				t.Errorf("Parse says %s %d, %v", m.Source, m.Sequence, err)
			}
		})
	}
}
