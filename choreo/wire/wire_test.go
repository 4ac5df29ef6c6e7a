package wire

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

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
	got, data, err := Parse(Message(sent, []byte(`{"orderId":"o-1"}`), 3))
	if err != nil {
		t.Fatal(err)
	}
	if string(data) != `{"orderId":"o-1"}` {
		t.Errorf("data is %s", data)
	}
	if strings.Join(got.RanIn, ",") != "a,b" {
		t.Errorf("ranin is %v", got.RanIn)
	}
	got.RanIn, sent.RanIn = nil, nil
	if got.ID != sent.ID || got.Saga != sent.Saga || got.Sequence != 7 || !got.Time.Equal(sent.Time) ||
		got.Source != sent.Source || got.Key != sent.Key || got.TraceParent != sent.TraceParent {
		t.Errorf("got %+v, sent %+v", got, sent)
	}
}

func TestRecordsOfOthers(t *testing.T) {
	at := message.Metadata{Topic: "posts", TopicID: "6ba7b810-9dad-11d1-80b4-00c04fd430c8", Partition: "2", Offset: "9",
		Timestamp: "2026-01-02T03:04:05Z"}
	with := func(more message.Metadata) message.Metadata {
		m := message.Metadata{}
		for _, part := range []message.Metadata{at, more} {
			for k, v := range part {
				m[k] = v
			}
		}
		return m
	}
	for name, c := range map[string]struct {
		meta    message.Metadata
		payload string
		want    choreo.Meta
		bad     bool
	}{
		"bare": {meta: with(message.Metadata{"ce_type": "posts.PostCreated.v1", Key: "p"}), payload: "{}",
			want: choreo.Meta{Type: "posts.PostCreated.v1", Source: "/kafka/posts", Key: "p"}},
		"structured": {meta: with(message.Metadata{"content-type": "application/cloudevents+json; charset=utf-8", Key: "p"}),
			payload: `{"specversion":"1.0","id":"x","source":"/crm","type":"posts.PostCreated.v1","sequence":4,"correlationid":"saga","data":{}}`,
			want:    choreo.Meta{ID: "x", Type: "posts.PostCreated.v1", Source: "/crm", Key: "p", Saga: "saga", Sequence: 4}},
		"no type":            {meta: at, payload: "{}", bad: true},
		"empty":              {meta: message.Metadata{}, bad: true},
		"structured garbage": {meta: with(message.Metadata{"content-type": "application/cloudevents+json"}), payload: `{"spec`, bad: true},
		"long id":            {meta: with(message.Metadata{"ce_type": "a.B.v1", "ce_id": strings.Repeat("x", 256)}), bad: true},
		"NUL in id":          {meta: with(message.Metadata{"ce_type": "a.B.v1", "ce_id": "a\x00b"}), bad: true},
		"key is not text":    {meta: with(message.Metadata{"ce_type": "a.B.v1", Key: "\xff\xfe"}), bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			msg := message.NewMessage("u", []byte(c.payload))
			msg.Metadata = c.meta
			got, _, err := Parse(msg)
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
			if c.want.ID == "" && got.ID != placeID(msg) || c.want.ID != "" && got.ID != c.want.ID {
				t.Errorf("id is %q", got.ID)
			}
			if c.want.Saga == "" && got.Saga != got.ID {
				t.Errorf("saga is %q, want the id", got.Saga)
			}
		})
	}
}
