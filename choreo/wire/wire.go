// Package wire turns events into Kafka records and back: CloudEvents 1.0 in the
// Kafka protocol binding, written in binary mode, read in binary and structured
// mode, and as a bare record with only ce_type.
package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"troupe/choreo"
)

// ErrMalformed is a record that is no event: it is kept for a look and never
// holds up its neighbours.
var ErrMalformed = errors.New("the record is no event")

// Record is a Kafka record and where it stands. Topic is the logical name,
// without the prefix of the broker.
type Record struct {
	Topic     string
	TopicID   string // of the topic's incarnation, empty where it is not known
	Partition int32
	Offset    int64
	Key       []byte
	Value     []byte
	Headers   []Header
	Time      time.Time
}

// Header is a header of a record. Of two with one name the last counts.
type Header struct {
	Name  string
	Value []byte
}

// maxID bounds ids, sources and types: longer ones are no event of anyone's.
const maxID = 255

// Encode is the record of an event, for the given partition.
func Encode(m choreo.Meta, data []byte, partition int32) *Record {
	r := &Record{Topic: m.Topic(), Partition: partition, Key: []byte(m.Key), Value: data, Time: m.Time,
		Headers: make([]Header, 0, 13)}
	values := make([]byte, 0, 384) // one piece of memory for most records
	add := func(name, value string) {
		if value != "" {
			from := len(values)
			values = append(values, value...)
			r.Headers = append(r.Headers, Header{name, values[from:len(values):len(values)]})
		}
	}
	add("content-type", "application/json")
	add("ce_specversion", "1.0")
	add("ce_id", m.ID)
	add("ce_source", m.Source)
	add("ce_type", m.Type)
	add("ce_time", m.Time.UTC().Format(time.RFC3339Nano))
	add("ce_dataschema", "/schemas/"+m.Type+".json")
	if m.Sequence > 0 { // a foreign event has none
		add("ce_sequence", strconv.FormatInt(m.Sequence, 10))
	}
	add("ce_correlationid", m.Saga)
	add("ce_causationid", m.Causation)
	add("ce_emitter", m.Emitter)
	add("ce_ranin", strings.Join(m.RanIn, ","))
	add("traceparent", m.TraceParent)
	return r
}

// Parse reads the event of a record. A missing id is derived from where the
// record stands, a missing key is the id, and so is a missing saga. The error
// is ErrMalformed.
func Parse(r *Record) (choreo.Meta, []byte, error) { return new(Parser).Parse(r) }

// Parser parses records that come one after another: what one has in common with
// the one before it, as source and type mostly are, is not made anew.
type Parser struct{ last attributes }

// Parse is Parse of one record.
func (p *Parser) Parse(r *Record) (choreo.Meta, []byte, error) {
	a, data, err := attributesOf(r, &p.last)
	p.last = a
	if err != nil {
		return choreo.Meta{}, nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	m := choreo.Meta{
		ID: a.id, Source: a.source, Type: a.typ, Key: string(r.Key), Saga: a.saga, Causation: a.causation,
		Emitter: a.emitter, TraceParent: a.trace,
	}
	if m.Type == "" {
		return m, nil, fmt.Errorf("%w: it has no ce_type header", ErrMalformed)
	}
	if m.ID == "" {
		m.ID = placeID(r)
	}
	if m.Source == "" {
		m.Source = ForeignSource(r.Topic)
	}
	if m.Key == "" {
		m.Key = m.ID
	}
	if m.Saga == "" {
		m.Saga = m.ID
	}
	if a.ranIn != "" {
		m.RanIn = strings.Split(a.ranIn, ",")
	}
	m.Time = eventTime(a.time, r.Time)
	if n, err := strconv.ParseInt(a.sequence, 10, 64); err == nil && n > 0 {
		m.Sequence = n
	}
	for _, attribute := range [...]struct{ name, value string }{
		{"id", m.ID}, {"source", m.Source}, {"type", m.Type}, {"key", m.Key}, {"correlationid", m.Saga},
		{"causationid", m.Causation}, {"emitter", m.Emitter}, {"traceparent", m.TraceParent}, {"ranin", a.ranIn},
	} {
		if err := printable(attribute.value); err != nil {
			return m, nil, fmt.Errorf("%w: its %s %w", ErrMalformed, attribute.name, err)
		}
	}
	return m, data, nil
}

// Sequence is what the headers of a record in binary mode say of its source and
// sequence; 0 says nothing. It is much cheaper than Parse.
func Sequence(r *Record) (source []byte, sequence int64) {
	typed := false
	for _, h := range r.Headers {
		switch h.Name {
		case "ce_source":
			source = h.Value
		case "ce_sequence":
			n, err := strconv.ParseInt(string(h.Value), 10, 64)
			if err != nil || n < 0 {
				n = 0
			}
			sequence = n
		case "ce_type":
			typed = len(h.Value) > 0
		case "content-type":
			if bytes.HasPrefix(h.Value, []byte("application/cloudevents")) {
				return nil, 0
			}
		}
	}
	if len(source) == 0 || !typed {
		return nil, 0
	}
	return source, sequence
}

// ForeignSource is the source of records on a topic that name none.
func ForeignSource(topic string) string { return "/kafka/" + topic }

// printable refuses what a text column cannot hold.
func printable(s string) error {
	switch {
	case len(s) > maxID:
		return fmt.Errorf("is longer than %d bytes", maxID)
	case !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0:
		return errors.New("is not text")
	}
	return nil
}

// attributes are the CloudEvents attributes of a record, empty where missing.
type attributes struct {
	id, source, typ, time, saga, causation, emitter, sequence, ranIn, trace string
}

// field is where the attribute of a name is kept, nil for one we do not use.
func (a *attributes) field(name string) *string {
	switch name {
	case "id":
		return &a.id
	case "source":
		return &a.source
	case "type":
		return &a.typ
	case "time":
		return &a.time
	case "correlationid":
		return &a.saga
	case "causationid":
		return &a.causation
	case "emitter":
		return &a.emitter
	case "sequence":
		return &a.sequence
	case "ranin":
		return &a.ranIn
	case "traceparent":
		return &a.trace
	}
	return nil
}

// attributesOf finds the attributes and the data, in either mode. Strings that
// are those of last are shared with it.
func attributesOf(r *Record, last *attributes) (attributes, []byte, error) {
	var a attributes
	for _, h := range r.Headers {
		name := strings.ToLower(h.Name)
		if name == "content-type" && bytes.HasPrefix(h.Value, []byte("application/cloudevents")) {
			return structured(r.Value)
		}
		name, ours := strings.CutPrefix(name, "ce_")
		if !ours && name != "traceparent" {
			continue
		}
		if field := a.field(name); field != nil {
			if before := *last.field(name); before == string(h.Value) {
				*field = before
			} else {
				*field = string(h.Value)
			}
		}
	}
	return a, r.Value, nil
}

// structured reads an event whose attributes stand beside its data.
func structured(value []byte) (a attributes, data []byte, err error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(value, &fields); err != nil {
		return a, nil, fmt.Errorf("reading its structured CloudEvent: %w", err)
	}
	for name, raw := range fields {
		if field := a.field(name); field != nil && json.Unmarshal(raw, field) != nil {
			*field = string(raw) // a number, as sequence may be
		}
	}
	encoded, ok := fields["data_base64"]
	if !ok {
		return a, fields["data"], nil
	}
	var text string
	if err := json.Unmarshal(encoded, &text); err != nil {
		return a, nil, fmt.Errorf("reading its data_base64: %w", err)
	}
	if data, err = base64.StdEncoding.DecodeString(text); err != nil {
		return a, nil, fmt.Errorf("reading its data_base64: %w", err)
	}
	return a, data, nil
}

// placeID is the UUIDv5 of (topic id, partition, offset).
func placeID(r *Record) string {
	space, err := uuid.Parse(r.TopicID)
	if err != nil {
		space = uuid.NewSHA1(uuid.Nil, []byte(r.Topic))
	}
	return uuid.NewSHA1(space, fmt.Appendf(nil, "%d/%d", r.Partition, r.Offset)).String()
}

func eventTime(said string, at time.Time) time.Time {
	if t, err := time.Parse(time.RFC3339Nano, said); err == nil && t.Year() > 0 && t.Year() < 10000 {
		return t.UTC()
	}
	return at.UTC()
}
