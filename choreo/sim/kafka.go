package sim

import (
	"context"
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"troupe/choreo/broker"
	"troupe/choreo/consume"
	"troupe/choreo/wire"
)

// kafka is a broker in memory: topics with an id, partitions with offsets.
type kafka struct {
	sim    *Sim
	topics map[string]*topic
	order  []string
	made   int

	offered map[stream]int64 // the highest sequence that the relay has published, or tried to
}

type topic struct {
	name       string
	id         string
	partitions []*partition
}

type partition struct {
	first   int64 // offset of the oldest record there is
	records []*wire.Record
	numbers map[number]string // event ids of what the relay published and is still there
}

// number is a sequence of a source.
type number struct {
	source   string
	sequence int64
}

// stream is a topic partition of a source.
type stream struct {
	source string
	at     spot
}

func (p *partition) end() int64 { return p.first + int64(len(p.records)) }

func (k *kafka) create(name string, partitions int) {
	k.made++
	t := &topic{name: name, id: fmt.Sprintf("00000000-0000-4000-8000-%012d", k.made)}
	for range partitions {
		t.partitions = append(t.partitions, &partition{numbers: map[number]string{}})
	}
	if k.topics[name] == nil {
		k.order = append(k.order, name)
	}
	k.topics[name] = t
}

func (k *kafka) append(topic string, r *wire.Record) {
	t := k.topics[topic]
	p := t.partitions[r.Partition]
	stored := *r
	stored.Topic, stored.TopicID, stored.Offset = topic, t.id, p.end()
	p.records = append(p.records, &stored)
	r.Offset = stored.Offset
}

var errBroker = errors.New("the simulated broker does not answer")

// Publish is Watermill's: it appends the records of batches, unless the
// scheduler has it fail, before or after the deed, or in part.
func (k *kafka) Publish(topic string, messages ...*message.Message) error {
	var records []*wire.Record
	p := (*process)(nil)
	for _, m := range messages {
		p = processOf(m.Context())
		records = append(records, broker.BatchOf(m).Records...)
	}
	if p.dead {
		return errBroker
	}
	k.offer(p, topic, records)
	switch p.park(atPublish, fmt.Sprintf("publish %d to %s", len(records), topic)) {
	case crash, crashAfter:
		p.dead = true
		return errBroker
	case fail:
		return errBroker
	case part:
		// One partition is gone: the others are written.
		gone, at := records[k.sim.rand.IntN(len(records))].Partition, map[int]error{}
		for i, r := range records {
			if r.Partition == gone {
				at[i] = errBroker
			} else {
				k.published(topic, r)
			}
		}
		return broker.NewFailedError(at)
	}
	for _, r := range records {
		k.published(topic, r)
	}
	switch p.park(atPublished, "published to "+topic) {
	case crash, crashAfter:
		p.dead = true
		return errBroker
	case failAfter:
		return errBroker
	}
	return nil
}

// Close has nothing to do.
func (k *kafka) Close() error { return nil }

// offer looks at what the relay gives to a partition: nothing of it may be left
// out or overtaken.
func (k *kafka) offer(p *process, topic string, records []*wire.Record) {
	for _, r := range records {
		m, _, err := wire.Parse(r)
		if err != nil {
			k.sim.broken(err)
			return
		}
		of := stream{m.Source, spot{topic, int(r.Partition)}}
		if last := k.offered[of]; m.Sequence > last+1 {
			k.sim.wrong = append(k.sim.wrong, Violation{"a partition is published in order", m.Saga,
				fmt.Sprintf("%s published %s/%d, sequence %d, next to %d", p.name, topic, r.Partition, m.Sequence, last)})
		}
		k.offered[of] = max(k.offered[of], m.Sequence)
	}
}

// published appends what the relay publishes: of one source, a sequence is that
// of one fact.
func (k *kafka) published(topic string, r *wire.Record) {
	m, _, err := wire.Parse(r)
	if err != nil {
		k.sim.broken(err)
		return
	}
	n, numbers := number{m.Source, m.Sequence}, k.topics[topic].partitions[r.Partition].numbers
	if before := numbers[n]; before != "" && before != m.ID {
		k.sim.wrong = append(k.sim.wrong, Violation{"one sequence, one fact", m.Saga,
			fmt.Sprintf("%s/%d, sequence %d of %s is %s, and is given to %s", topic, r.Partition, m.Sequence, m.Source, before, m.ID)})
	}
	numbers[n] = m.ID
	k.append(topic, r)
}

// Ends is the collector's.
func (k *kafka) Ends(_ context.Context, topics []string) (ends []broker.End, err error) {
	for _, name := range topics {
		t := k.topics[name]
		for i, p := range t.partitions {
			ends = append(ends, broker.End{Topic: name, TopicID: t.id, Partition: int32(i), Offset: p.end()})
		}
	}
	return ends, nil
}

// ReadFrom is the relay's: it reads a partition back to its end.
func (k *kafka) ReadFrom(_ context.Context, topic string, partition int32, offset int64, each func(*wire.Record) error) error {
	p := k.topics[topic].partitions[partition]
	if offset < p.first || offset > p.end() {
		offset = p.first
	}
	for _, r := range p.records[offset-p.first:] {
		if err := each(r); err != nil {
			return err
		}
	}
	return nil
}

// expire deletes the oldest records of a partition.
func (k *kafka) expire(p *partition, n int) {
	for _, r := range p.records[:n] {
		if m, _, err := wire.Parse(r); err == nil && p.numbers[number{m.Source, m.Sequence}] == m.ID {
			delete(p.numbers, number{m.Source, m.Sequence})
		}
	}
	p.first += int64(n)
	p.records = p.records[n:]
}

// spot is a partition of a topic.
type spot struct {
	topic     string
	partition int
}

// group is a consumer group: how far its present member has fetched, and how
// far it has committed.
type group struct {
	consumer  string
	applier   *consume.Applier // of the process that has it
	spots     []spot
	stuck     bool // its consumer cannot go on
	fetched   map[spot]int64
	committed map[spot]int64
	looked    map[spot]lookedAt // where the end was last told
	busy      *process
}

type lookedAt struct {
	topicID string
	offset  int64
	losses  int // how often the broker had lost something then
}

// news tells whether a partition has something for the group.
func (s *Sim) news(g *group, at spot) bool {
	p := s.kafka.topics[at.topic].partitions[at.partition]
	return g.fetched[at] != p.end() || s.endUntold(g, at)
}

func (s *Sim) endUntold(g *group, at spot) bool {
	t := s.kafka.topics[at.topic]
	return g.looked[at] != lookedAt{t.id, t.partitions[at.partition].end(), s.losses}
}

// fetch takes up to most records of a partition, and tells whether that is its
// end. An offset that is not there any more starts at the oldest record.
func (s *Sim) fetch(g *group, at spot, most int) (records []*wire.Record, end bool) {
	t := s.kafka.topics[at.topic]
	p := t.partitions[at.partition]
	from := g.fetched[at]
	if from < p.first || from > p.end() {
		from = p.first
	}
	to := min(p.end(), from+int64(most))
	for o := from; o < to; o++ {
		records = append(records, p.records[o-p.first])
	}
	g.fetched[at] = to
	if to == p.end() {
		g.looked[at] = lookedAt{t.id, to, s.losses}
		end = true
	}
	return records, end
}
