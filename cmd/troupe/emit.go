package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"troupe/choreo"
	"troupe/choreo/broker"
	"troupe/choreo/wire"
	"troupe/handlers"
	"troupe/schemas"
)

// operatorSource is the ce_source of what operators emit.
const operatorSource = "/operator"

// emitted is what a record was, or would be.
type emitted struct {
	ID        string          `json:"id"`
	Type      string          `json:"type"`
	Topic     string          `json:"topic"`
	Partition int32           `json:"partition"`
	Offset    *int64          `json:"offset" doc:"null in a dry run"`
	Key       string          `json:"key"`
	SagaID    string          `json:"sagaId"`
	Data      json.RawMessage `json:"data"`
}

func emitCommand() (*cobra.Command, error) {
	var key, data, saga, id string
	var dryRun bool
	types, err := factTypes()
	if err != nil {
		return nil, err
	}
	cmd, err := operatorCommand("emit TYPE --key KEY --data @FILE", "Publish an event, as a producer outside would",
		"Checks the data against the schema of its type, then publishes it on the topic, as a CloudEvent from outside:\n"+
			"consumers take it once by its id. For a wrong key or saga nobody can call it back.",
		1, needsBoth, []string{"brokers", "prefix"}, func(ctx context.Context, a *app, to *answer, args []string) error {
			if key == "" {
				return usageError{errors.New("say with --key which record key the event has: its fact's first id")}
			}
			body, err := readData(data)
			if err != nil {
				return err
			}
			if err := schemas.Validate(args[0], body); errors.Is(err, schemas.ErrNoSchema) {
				return usageError{fmt.Errorf("%w%s", err, closest(args[0], types))}
			} else if err != nil {
				return fmt.Errorf("the data is no %s, and nothing was published: %w", args[0], err)
			}
			if id == "" {
				id = uuid.Must(uuid.NewV7()).String()
			}
			if saga == "" {
				saga = id
			}
			now, err := a.db.Now(ctx)
			if err != nil {
				return err
			}
			m := choreo.Meta{ID: id, Source: operatorSource, Type: args[0], Key: key, Time: now, Saga: saga, Emitter: "operator"}
			r, err := a.publish(ctx, m, body, dryRun)
			if err != nil {
				return err
			}
			out := emitted{ID: m.ID, Type: m.Type, Topic: a.config.Prefix + m.Topic(), Partition: r.Partition, Key: key, SagaID: saga, Data: body}
			if !dryRun {
				out.Offset = &r.Offset
			}
			return to.give(out, func(w io.Writer) {
				verb := "is"
				if dryRun {
					verb = "would be"
				}
				fmt.Fprintf(w, "%s %s %s published on %s/%d, saga %s.\n", m.Type, m.ID, verb, out.Topic, r.Partition, saga)
			})
		})
	if err != nil {
		return nil, err
	}
	cmd.ValidArgs = types
	cmd.Flags().StringVar(&key, "key", "", "the record key: the fact's first id")
	cmd.Flags().StringVar(&data, "data", "", "the fact as JSON, @FILE to read it from a file, @- from standard input")
	cmd.Flags().StringVar(&saga, "saga", "", "the saga it belongs to; one of its own where that is not given")
	cmd.Flags().StringVar(&id, "id", "", "the event's id; a new one where that is not given")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "check, and publish nothing")
	return cmd, nil
}

// publish puts one event on its topic.
func (a *app) publish(ctx context.Context, m choreo.Meta, data []byte, dryRun bool) (*wire.Record, error) {
	counts, err := broker.Partitions(ctx, a.broker, []string{m.Topic()})
	if err != nil {
		return nil, err
	}
	if counts[m.Topic()] == 0 {
		return nil, fmt.Errorf("Kafka has no topic %s%s: run `troupe topics apply`", a.config.Prefix, m.Topic()) //nolint:staticcheck // Kafka is a name
	}
	r := wire.Encode(m, data, wire.PartitionOf(m.Key, counts[m.Topic()]))
	if _, _, err := wire.Parse(r); err != nil {
		return nil, usageError{err}
	}
	if dryRun {
		return r, nil
	}
	err = a.db.InUnit(ctx, func(ctx context.Context, u *choreo.Unit) error {
		return u.Audit(ctx, "emit", m.Type, 1, "id "+m.ID+", key "+m.Key+", saga "+m.Saga)
	})
	if err != nil {
		return nil, err
	}
	p, err := broker.NewPublisher(a.broker)
	if err != nil {
		return nil, err
	}
	return r, errors.Join(p.Publish(m.Topic(), broker.NewMessage(ctx, &broker.Batch{Records: []*wire.Record{r}})), p.Close())
}

// readData reads the data of a fact from the command line, a file or standard
// input, without white space.
func readData(given string) (body []byte, err error) {
	switch name, isFile := strings.CutPrefix(given, "@"); {
	case given == "":
		return nil, usageError{errors.New("say with --data what the data is: JSON, @FILE, or @- for standard input")}
	case !isFile:
		body = []byte(given)
	case name == "-":
		body, err = io.ReadAll(os.Stdin)
	default:
		body, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	var out bytes.Buffer
	if err := json.Compact(&out, body); err != nil {
		return nil, usageError{fmt.Errorf("--data is no JSON: %w", err)}
	}
	return out.Bytes(), nil
}

// factTypes are the types of all facts, sorted.
func factTypes() ([]string, error) {
	flow, err := handlers.Flow(handlers.Outside{})
	if err != nil {
		return nil, err
	}
	var types []string
	for _, f := range flow.Facts() {
		types = append(types, f.FactType())
	}
	slices.Sort(types)
	return types, nil
}
