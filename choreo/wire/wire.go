// Package wire turns events into Kafka records and back: CloudEvents 1.0 in the
// Kafka protocol binding, written in binary mode, read in binary and structured
// mode, and as a bare record with only ce_type. Records travel through Watermill
// as messages: headers are metadata, and where a record stands on the broker is
// metadata too, under keys that no header can have.
package wire

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"troupe/choreo"
)

// ErrMalformed is a record that is no event: it is kept for a look and never
// holds up its neighbours.
var ErrMalformed = errors.New("the record is no event")

// Metadata keys of what is not a header. A header cannot be named so: they are
// set after the headers are read.
const (
	Key       = "kafka\x00key"
	Partition = "kafka\x00partition"
	Offset    = "kafka\x00offset"
	Topic     = "kafka\x00topic"
	TopicID   = "kafka\x00topicid"
	Timestamp = "kafka\x00timestamp"
)

// maxID bounds ids, sources and types: longer ones are no event of anyone's.
const maxID = 255

// IsHeader tells whether a metadata key is a header of the record.
func IsHeader(key string) bool { return !strings.HasPrefix(key, "kafka\x00") }

// Message is the record of an event, for the given partition.
func Message(m choreo.Meta, data []byte, partition int32) *message.Message {
	msg := message.NewMessage(m.ID, data)
	msg.Metadata = message.Metadata{
		Key:              m.Key,
		Partition:        strconv.Itoa(int(partition)),
		Timestamp:        m.Time.UTC().Format(time.RFC3339Nano),
		"content-type":   "application/json",
		"ce_specversion": "1.0",
		"ce_id":          m.ID,
		"ce_source":      m.Source,
		"ce_type":        m.Type,
		"ce_time":        m.Time.UTC().Format(time.RFC3339Nano),
		"ce_dataschema":  "/schemas/" + m.Type + ".json",
		"ce_sequence":    strconv.FormatInt(m.Sequence, 10),
	}
	for header, value := range map[string]string{
		"ce_correlationid": m.Saga, "ce_causationid": m.Causation, "ce_emitter": m.Emitter,
		"ce_ranin": strings.Join(m.RanIn, ","), "traceparent": m.TraceParent,
	} {
		if value != "" {
			msg.Metadata[header] = value
		}
	}
	return msg
}

// Parse reads the event of a record. A missing id is derived from where the
// record stands, a missing key is the id, and so is a missing saga. The error
// is ErrMalformed.
func Parse(msg *message.Message) (choreo.Meta, []byte, error) {
	attr, data, err := attributes(msg)
	if err != nil {
		return choreo.Meta{}, nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	m := choreo.Meta{
		ID: attr("id"), Source: attr("source"), Type: attr("type"), Key: msg.Metadata[Key],
		Saga: attr("correlationid"), Causation: attr("causationid"), Emitter: attr("emitter"),
		TraceParent: attr("traceparent"),
	}
	if m.Type == "" {
		return m, nil, fmt.Errorf("%w: it has no ce_type header", ErrMalformed)
	}
	if m.ID == "" {
		m.ID = placeID(msg)
	}
	if m.Source == "" {
		m.Source = "/kafka/" + msg.Metadata[Topic]
	}
	if m.Key == "" {
		m.Key = m.ID
	}
	if m.Saga == "" {
		m.Saga = m.ID
	}
	if ran := attr("ranin"); ran != "" {
		m.RanIn = strings.Split(ran, ",")
	}
	m.Time = eventTime(attr("time"), msg.Metadata[Timestamp])
	if n, err := strconv.ParseInt(attr("sequence"), 10, 64); err == nil && n > 0 {
		m.Sequence = n
	}
	for name, value := range map[string]string{
		"id": m.ID, "source": m.Source, "type": m.Type, "key": m.Key, "correlationid": m.Saga,
		"causationid": m.Causation, "emitter": m.Emitter, "traceparent": m.TraceParent, "ranin": attr("ranin"),
	} {
		if err := printable(value); err != nil {
			return m, nil, fmt.Errorf("%w: its %s %w", ErrMalformed, name, err)
		}
	}
	return m, data, nil
}

// printable refuses what a text column cannot hold.
func printable(s string) error {
	switch {
	case len(s) > maxID:
		return fmt.Errorf("is longer than %d bytes", maxID)
	case !utf8.ValidString(s) || strings.ContainsRune(s, 0):
		return errors.New("is not text")
	}
	return nil
}

// attributes finds the CloudEvents attributes and the data, in either mode.
func attributes(msg *message.Message) (func(string) string, []byte, error) {
	if !strings.HasPrefix(header(msg, "content-type"), "application/cloudevents") {
		return func(name string) string {
			if name == "traceparent" {
				return header(msg, name)
			}
			return header(msg, "ce_"+name)
		}, msg.Payload, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(msg.Payload, &fields); err != nil {
		return nil, nil, fmt.Errorf("reading its structured CloudEvent: %w", err)
	}
	data := []byte(fields["data"])
	if encoded, ok := fields["data_base64"]; ok {
		var s string
		if err := json.Unmarshal(encoded, &s); err != nil {
			return nil, nil, fmt.Errorf("reading its data_base64: %w", err)
		}
		raw, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return nil, nil, fmt.Errorf("reading its data_base64: %w", err)
		}
		data = raw
	}
	return func(name string) string {
		var s string
		if json.Unmarshal(fields[name], &s) == nil {
			return s
		}
		return string(fields[name]) // a number, as sequence may be
	}, data, nil
}

// header looks a header up as it is, then without regard to case.
func header(msg *message.Message, name string) string {
	if v, ok := msg.Metadata[name]; ok {
		return v
	}
	for k, v := range msg.Metadata {
		if strings.EqualFold(k, name) {
			return v
		}
	}
	return ""
}

// placeID is the UUIDv5 of (topic id, partition, offset).
func placeID(msg *message.Message) string {
	space, err := uuid.Parse(msg.Metadata[TopicID])
	if err != nil {
		space = uuid.NewSHA1(uuid.Nil, []byte(msg.Metadata[Topic]))
	}
	return uuid.NewSHA1(space, []byte(msg.Metadata[Partition]+"/"+msg.Metadata[Offset])).String()
}

func eventTime(candidates ...string) time.Time {
	for _, c := range candidates {
		if t, err := time.Parse(time.RFC3339Nano, c); err == nil && t.Year() > 0 && t.Year() < 10000 {
			return t.UTC()
		}
	}
	return time.Unix(0, 0).UTC()
}
