package relay

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lib/pq"

	"troupe/choreo"
	"troupe/choreo/internal/safeguard"
	"troupe/choreo/pgarray"
	"troupe/choreo/wire"
)

// fact is a row of the outbox, then of the log.
type fact struct {
	id                                                              int64
	eventID, typ, key, saga, causation, emitter, ranIn, traceparent string
	at                                                              time.Time
	data                                                            []byte
	place                                                           place
	stream, sequence, position                                      int64
}

// meta is what the engine knows of the fact, once it has its sequence.
func (f *fact) meta(source string) choreo.Meta {
	m := choreo.Meta{ID: f.eventID, Source: source, Type: f.typ, Key: f.key, Time: f.at, Saga: f.saga,
		Causation: f.causation, Emitter: f.emitter, Sequence: f.sequence, TraceParent: f.traceparent}
	if f.ranIn != "" {
		m.RanIn = strings.Split(f.ranIn, ",")
	}
	return m
}

// floor is below which no row of the outbox can appear any more, so that claims
// need not wade through the dead rows of earlier ones: under a long snapshot
// 300,000 of them cost 31 ms a claim. A row whose id is at most the highest that
// was claimed, and that was not visible then, belongs to a transaction older
// than that claim's snapshot: it has its xid before its ids. So the floor rises
// to that id only after one more claim was made with all of those transactions
// ended. (A plain floor with a sweep for late commits inverts a key.)
type floor struct {
	id      int64
	highest int64  // claimed so far
	noted   int64  // the highest when xmax was noted
	xmax    uint64 // 0: nothing is noted
}

// claimed moves the floor after a claim whose snapshot was (xmin, xmax).
func (f *floor) claimed(highest int64, xmin, xmax uint64) {
	f.highest = max(f.highest, highest)
	if safeguard.Off("xmin floor") {
		f.id = f.highest
		return
	}
	if f.xmax != 0 && xmin >= f.xmax {
		f.id, f.xmax = f.noted, 0
	}
	if f.xmax == 0 && f.highest > f.id {
		f.noted, f.xmax = f.highest, xmax
	}
}

// claim reads the oldest facts of the outbox, above the floor, and which
// transactions were under way then: nobody but the one relay removes any. unlikely
// is a text that no fact contains.
func claim(ctx context.Context, tx *sql.Tx, f floor, unlikely string) ([]*fact, floor, error) {
	facts, xmin, xmax, held, err := claimBy(ctx, tx, f.id, "\x01")
	if errors.Is(err, errSeparator) {
		facts, xmin, xmax, held, err = claimBy(ctx, tx, f.id, unlikely)
	}
	if err != nil {
		return nil, f, fmt.Errorf("claiming from the outbox: %w", err)
	}
	highest := f.highest
	if n := len(facts); n > 0 {
		highest = facts[n-1].id
	}
	if held { // what stays must not come to lie below the floor
		f.xmax = 0
	} else {
		f.claimed(highest, xmin, xmax)
	}
	if safeguard.Off("claim order") {
		slices.Reverse(facts)
	}
	return facts, f, nil
}

// errSeparator says that a fact contains what was to stand between its columns.
var errSeparator = errors.New("the separator is part of a fact")

// claimBy reads the facts with something between their columns.
func claimBy(ctx context.Context, tx *sql.Tx, above int64, separator string) (facts []*fact, xmin, xmax uint64, held bool, err error) {
	var n int
	var packed string
	var topics pq.StringArray
	var partitions pq.Int64Array
	err = tx.QueryRowContext(ctx, `select * from choreo.claim_outbox($1, $2, $3, $4)`, Batch, batchBytes, above, separator).Scan(
		&xmin, &xmax, &held, &n, &packed, &topics, &partitions)
	if err != nil {
		return nil, 0, 0, false, err
	}
	counts := map[string]int{}
	for i, topic := range topics {
		counts[topic] = int(partitions[i])
	}
	facts, err = unpack(packed, separator, n)
	for _, f := range facts {
		topic := choreo.Topic(f.typ)
		if counts[topic] == 0 {
			return nil, 0, 0, false, fmt.Errorf("topic %s is not known: run `troupe topics apply`", topic)
		}
		f.place = place{topic, wire.PartitionOf(f.key, counts[topic])}
	}
	return facts, xmin, xmax, held, err
}

// columns are those of a fact in a claim.
const columns = 11

// unpack reads n facts whose columns each have the separator behind them. They
// share the memory of the text, and their data that of one copy of it.
func unpack(packed, separator string, n int) ([]*fact, error) {
	if strings.Count(packed, separator) != n*columns {
		return nil, errSeparator
	}
	data, at := []byte(packed), 0
	next := func() string {
		length := strings.Index(packed[at:], separator)
		field := packed[at : at+length]
		at += length + len(separator)
		return field
	}
	facts, rows := make([]*fact, n), make([]fact, n)
	for i := range rows {
		f := &rows[i]
		facts[i] = f
		var err error
		if f.id, err = strconv.ParseInt(next(), 10, 64); err != nil {
			return nil, err
		}
		for _, field := range [...]*string{&f.eventID, &f.typ, &f.key, &f.saga, &f.causation, &f.emitter, &f.ranIn, &f.traceparent} {
			*field = next()
		}
		if f.at, err = pq.ParseTimestamp(nil, next()); err != nil {
			return nil, err
		}
		from := at
		length := len(next())
		f.data = data[from : from+length : from+length]
	}
	return facts, nil
}

// full tells whether a claim took as much as it may.
func full(claimed []*fact) bool {
	bytes := 0
	for _, f := range claimed {
		bytes += len(f.data)
	}
	return len(claimed) == Batch || bytes >= batchBytes
}

// place is a topic partition.
type place struct {
	topic     string
	partition int32
}

// number gives each fact its stream, sequence and position, and moves it from
// the outbox to the log. Streams and the log's head are locked by the lease that
// is held. It tells the last position given out, the first being behind from.
func number(ctx context.Context, tx *sql.Tx, source string, facts []*fact, from int64) (int64, error) {
	index, places := map[place]int64{}, []place(nil)
	var ids, at, nth, counts pgarray.Int8 // of each fact its place, from 1, and which there, from 1
	for _, f := range facts {
		i, ok := index[f.place]
		if !ok {
			i = int64(len(places))
			index[f.place], places, counts = i, append(places, f.place), append(counts, 0)
		}
		counts[i]++
		ids, at, nth = append(ids, f.id), append(at, i+1), append(nth, counts[i])
	}
	var topics pgarray.Text
	var partitions pgarray.Int8
	for _, p := range places {
		topics, partitions = append(topics, p.topic), append(partitions, int64(p.partition))
	}
	synchronous := "on" // whatever the database's default is
	if safeguard.Off("synchronous sequencing") {
		synchronous = "off"
	}
	var streams, heads pq.Int64Array
	var start int64
	var moved int
	err := tx.QueryRowContext(ctx, `select a.* from choreo.append_log($1, $2, $3, $4, $5, $6, $7, $8) a,
		set_config('synchronous_commit', $9, true)`,
		source, from, topics, partitions, counts, ids, at, nth, synchronous).Scan(&streams, &heads, &start, &moved)
	if err == nil && moved != len(facts) {
		err = fmt.Errorf("only %d are in the outbox", moved)
	}
	if choreo.SQLState(err) == "23514" { // no partition takes that position
		return 0, errFull
	}
	if err != nil {
		return 0, fmt.Errorf("moving %d facts to the log: %w", len(facts), err)
	}
	for i, f := range facts {
		f.stream, f.sequence, f.position = streams[at[i]-1], heads[at[i]-1]+nth[i], start+int64(i)+1
	}
	return start + int64(len(facts)), nil
}
