package relay

import (
	"context"
	"errors"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"troupe/choreo/broker"
	"troupe/choreo/wire"
)

// publishing is a publisher that looks while it publishes.
type publishing struct {
	message.Publisher
	at func([]*wire.Record)
}

func (p publishing) Publish(_ string, messages ...*message.Message) error {
	for _, m := range messages {
		p.at(broker.BatchOf(m).Records)
	}
	return nil
}

// What is on its way to Kafka is not read as if it were somebody else's: the
// collector waits until it is known to be ours.
func TestTheCollectorWaitsForWhatIsBeingPublished(t *testing.T) {
	t.Parallel()
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	r, looked := &Relay{}, false
	r.publisher = publishing{at: func(records []*wire.Record) {
		looked = true
		records[0].Offset = 7
		if err := r.collector.settled(impatient); !errors.Is(err, context.Canceled) {
			t.Errorf("the collector does not wait for what is being published: %v", err)
		}
	}}
	if n, err := r.write(t.Context(), "clocks", []*wire.Record{{Topic: "clocks"}}); n != 1 || err != nil || !looked {
		t.Fatalf("%d records are written (%v)", n, err)
	}
	if err := r.collector.settled(t.Context()); err != nil {
		t.Error(err)
	}
	if from, _ := r.collector.skip(place{"clocks", 0}, 7, 8); from != 8 {
		t.Errorf("what was published is read from offset %d", from)
	}
}

// A fact may contain anything but a zero: what then stands between the columns of
// a claim is another text.
func TestUnpackNoticesTheSeparatorInAFact(t *testing.T) {
	t.Parallel()
	row := func(separator, key string) (packed string) {
		for _, column := range []string{"12", "id", "clocks.Ticked.v1", key, "saga", "", "tick", "", "", "2026-11-29 12:00:00.5+00", `{"n":1}`} {
			packed += column + separator
		}
		return packed
	}
	if facts, err := unpack(row("\x01", "a")+row("\x01", "b\x01c"), "\x01", 2); !errors.Is(err, errSeparator) {
		t.Errorf("unpacked %v (%v)", facts, err)
	}
	facts, err := unpack(row("--", "a")+row("--", "b\x01c"), "--", 2)
	if err != nil || len(facts) != 2 || facts[0].key != "a" || facts[1].key != "b\x01c" || facts[1].id != 12 ||
		facts[1].emitter != "tick" || string(facts[1].data) != `{"n":1}` || facts[1].at.UTC().Nanosecond() != 500_000_000 {
		t.Errorf("unpacked %+v (%v)", facts, err)
	}
}
