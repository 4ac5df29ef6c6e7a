package choreo

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"
)

// Fact is something that happened. It is met structurally, so that packages of
// facts import nothing of the engine. FactType reads topic.Fact.version, such
// as "orders.OrderCanceled.v1"; Key is the record key, which orders facts.
// A fact may also have Validate() error, asked when it is emitted and when it
// is read, and FailureReason() string, shown where a failure is shown.
type Fact interface {
	FactType() string
	Key() string
}

// Meta is what the engine knows of an event beside its fact.
type Meta struct {
	ID          string    // of the event: a UUID of ours, any string of a foreign one
	Source      string    // /troupe/<database id>/<epoch> where it is ours
	Type        string    // topic.Fact.version
	Key         string    // record key
	Time        time.Time // when it was emitted, UTC
	Saga        string    // correlation id
	Causation   string    // id of the event reacted to, empty for a command's
	Emitter     string    // the consumer or command
	Sequence    int64     // in its topic partition, from 1; 0 where it has none
	RanIn       []string  // consumers that ran in the emitting transaction
	TraceParent string    // W3C trace context, empty where there is none
}

// Topic is the topic of a fact type: what stands before its first dot.
func Topic(factType string) string {
	topic, _, _ := strings.Cut(factType, ".")
	return topic
}

// Topic is the logical topic of the event, without the prefix of the broker.
func (m Meta) Topic() string { return Topic(m.Type) }

// Event is a fact as a handler gets it.
type Event[F Fact] struct {
	Meta
	Fact F
}

// Cause is an event whose reaction emits facts.
type Cause interface{ cause() Meta }

func (e Event[F]) cause() Meta { return e.Meta }

// decode reads the fact F of an event, of its own version or an older one, into
// an *Event[F] of the newest version. Unknown fields are ignored; a fact that
// does not validate is an error, as is one without a key.
func decode[F Fact](m Meta, data []byte) (any, error) {
	e := &Event[F]{Meta: m}
	if own := e.Fact.FactType(); m.Type != own {
		var err error
		if data, err = upcast(e.Fact, m.Type, data); err != nil {
			return nil, err
		}
		e.Type = own
	}
	if err := json.Unmarshal(data, &e.Fact); err != nil {
		return nil, fmt.Errorf("reading %s: %w", m.Type, err)
	}
	if err := validate(e.Fact); err != nil {
		return nil, err
	}
	return e, nil
}

// Check tells whether the data are a fact of the event's type; known is false
// where the flow names no such type.
func (f *Flow) Check(m Meta, data []byte) (known bool, err error) {
	zero := f.facts[m.Type]
	if zero == nil {
		return false, nil
	}
	read := reflect.New(reflect.TypeOf(zero))
	if err := json.Unmarshal(data, read.Interface()); err != nil {
		return true, fmt.Errorf("reading %s: %w", m.Type, err)
	}
	return true, validate(read.Elem().Interface().(Fact)) //nolint:forcetypeassert // it is of the type of zero
}

func validate(f Fact) error {
	if v, ok := f.(interface{ Validate() error }); ok {
		if err := v.Validate(); err != nil {
			return fmt.Errorf("%s is not whole: %w", f.FactType(), err)
		}
	}
	switch key := f.Key(); {
	case key == "":
		return fmt.Errorf("%s has no key", f.FactType())
	case len(key) > maxKey:
		return fmt.Errorf("the key of %s is longer than %d bytes", f.FactType(), maxKey)
	case !utf8.ValidString(key) || strings.ContainsRune(key, 0):
		return fmt.Errorf("the key of %s is not text", f.FactType())
	}
	return nil
}

// maxKey bounds keys, as ids are: a longer one is of no aggregate of anyone's.
const maxKey = 255

// Reason is why a failure fact says it failed, empty where it does not say.
func Reason(f Fact) string {
	if r, ok := f.(interface{ FailureReason() string }); ok {
		return r.FailureReason()
	}
	return ""
}
