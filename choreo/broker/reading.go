package broker

import (
	"github.com/IBM/sarama"

	"troupe/choreo/wire"
)

// headerNames bounds how many names of headers are remembered: ours, and not
// whatever somebody makes up.
const headerNames = 64

// reading makes records of ours of those of one partition.
type reading struct {
	topic, topicID string
	last           []wire.Header     // of the record before: most have the same names in the same places
	names          map[string]string // of headers, shared by all records
}

func newReading(topic, topicID string) *reading {
	return &reading{topic: topic, topicID: topicID, names: map[string]string{}}
}

func (r *reading) record(m *sarama.ConsumerMessage) *wire.Record {
	out := &wire.Record{
		Topic: r.topic, TopicID: r.topicID, Partition: m.Partition,
		Offset: m.Offset, Key: m.Key, Value: m.Value, Time: m.Timestamp, Headers: make([]wire.Header, len(m.Headers)),
	}
	for i, h := range m.Headers {
		out.Headers[i] = wire.Header{Name: r.name(i, h.Key), Value: h.Value}
	}
	r.last = out.Headers
	return out
}

// name is the name of the i-th header, in memory that it shares.
func (r *reading) name(i int, key []byte) string {
	if i < len(r.last) && r.last[i].Name == string(key) {
		return r.last[i].Name
	}
	name, ok := r.names[string(key)]
	if !ok {
		name = string(key)
		if len(r.names) < headerNames {
			r.names[name] = name
		}
	}
	return name
}
