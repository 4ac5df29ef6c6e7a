package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"troupe/choreo"
	"troupe/choreo/broker"
	"troupe/choreo/eventlog"
	"troupe/choreo/pull"
	"troupe/choreo/wire"
)

func eventsCommand() (*cobra.Command, error) {
	return group("events", "What has happened: the log, and the topics", eventsTail, eventsPull)
}

// filter adds the flags that narrow events.
func filter(cmd *cobra.Command, p *pull.Query) {
	cmd.Flags().StringSliceVar(&p.Topics, "topic", nil, "of this topic only, or of these with commas between")
	cmd.Flags().StringSliceVar(&p.Types, "type", nil, "of this type only, such as orders.OrderCanceled.v1, or of these")
	cmd.Flags().StringVar(&p.Saga, "saga", "", "of this saga only")
	cmd.Flags().StringVar(&p.Key, "key", "", "of this key only")
}

func eventsPull() (*cobra.Command, error) {
	var p pull.Query
	cmd, err := operatorCommand("pull", "Read the next events of the log after a position",
		"As GET /events does: whoever reads remembers the position, and gives it next time.", 0, needsDatabase, nil,
		func(ctx context.Context, a *app, to *answer, _ []string) error {
			if p.Limit < 1 {
				return usageError{errors.New("--limit: at least 1")}
			}
			page, err := eventlog.Source{DB: a.db}.Pull(ctx, p)
			if err != nil {
				return err
			}
			return to.give(map[string]any{"items": append([]pull.Event{}, page.Items...), "position": page.Position}, func(w io.Writer) {
				eventsTable(w, page.Items, true)
				fmt.Fprintf(w, "Next: --after %d\n", page.Position)
			})
		})
	if err != nil {
		return nil, err
	}
	filter(cmd, &p)
	cmd.Flags().Int64Var(&p.After, "after", 0, "the position read so far")
	cmd.Flags().IntVar(&p.Limit, "limit", 100, "at most so many")
	return completingTypes(cmd)
}

func eventsTail() (*cobra.Command, error) {
	var p pull.Query
	var lines int
	var follow, kafka bool
	cmd, err := operatorCommand("tail", "Show the last events, and those that come",
		"From the log; with --kafka the records that come to the topics from now on, as they are there: foreign and\nmalformed ones too.",
		0, needsDatabase, []string{"brokers", "prefix"}, func(ctx context.Context, a *app, to *answer, _ []string) error {
			if kafka {
				return tailKafka(ctx, a, to, p)
			}
			p.Limit = 500
			var err error
			if p.After, err = eventlog.Last(ctx, a.db, p, lines); err != nil {
				return err
			}
			for first := true; ; first = false {
				page, more, err := eventlog.Read(ctx, a.db, p)
				if err != nil {
					return err
				}
				if err := to.tail(page.Items, first); err != nil {
					return err
				}
				if p.After = page.Position; more {
					continue
				}
				if !follow {
					return nil
				}
				select {
				case <-ctx.Done():
					return nil
				case <-time.After(200 * time.Millisecond):
				}
			}
		})
	if err != nil {
		return nil, err
	}
	filter(cmd, &p)
	cmd.Flags().IntVarP(&lines, "lines", "n", 10, "how many of the last to begin with")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with those that come, until Ctrl-C")
	cmd.Flags().BoolVar(&kafka, "kafka", false, "from Kafka instead of the log; needs TROUPE_KAFKA_BROKERS")
	return completingTypes(cmd)
}

// tail writes events as they come: one JSON object a line, or lines of a table.
func (a *answer) tail(page []pull.Event, header bool) error {
	if a.json() {
		e := json.NewEncoder(a.out)
		for _, event := range page {
			if err := e.Encode(event); err != nil {
				return err
			}
		}
		return nil
	}
	return a.give(nil, func(w io.Writer) { eventsTable(w, page, header) })
}

func eventsTable(w io.Writer, page []pull.Event, header bool) {
	if header {
		fmt.Fprintf(w, "%-10s  %-19s  %-36s  %-36s  %-36s  %s\n", "POSITION", "TIME", "TYPE", "KEY", "SAGA", "BY")
	}
	for _, e := range page {
		fmt.Fprintf(w, "%-10d  %-19s  %-36s  %-36s  %-36s  %s\n", e.Position, clock(e.Time), e.Type, e.Key, e.SagaID, cmp.Or(e.Emitter, "–"))
	}
}

// tailKafka shows records that come to the topics.
func tailKafka(ctx context.Context, a *app, to *answer, p pull.Query) error {
	if len(a.config.Brokers) == 0 {
		return usageError{errors.New("--kafka: set TROUPE_KAFKA_BROKERS, or give --brokers")}
	}
	topics := a.flow.Topics()
	if len(p.Topics) > 0 {
		topics = p.Topics
	}
	first := true
	err := broker.Follow(ctx, a.broker, topics, func(r *wire.Record) error {
		m, data, err := wire.Parse(r)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s/%d, offset %d: %v\n", r.Topic, r.Partition, r.Offset, err)
			return nil
		}
		if len(p.Types) > 0 && !slices.Contains(p.Types, m.Type) || p.Saga != "" && m.Saga != p.Saga || p.Key != "" && m.Key != p.Key {
			return nil
		}
		e := pull.Event{Position: r.Offset, ID: m.ID, Source: m.Source, Type: m.Type, Topic: r.Topic, Key: m.Key, Time: m.Time,
			SagaID: m.Saga, Emitter: m.Emitter, Data: data}
		if !json.Valid(data) {
			e.Data, _ = json.Marshal(string(data))
		}
		if m.Causation != "" {
			e.CausationID = &m.Causation
		}
		defer func() { first = false }()
		return to.tail([]pull.Event{e}, first)
	})
	if errors.Is(err, context.Canceled) {
		return nil // Ctrl-C
	}
	return err
}

// completingTypes has the shell complete topics and types.
func completingTypes(cmd *cobra.Command) (*cobra.Command, error) {
	types, err := factTypes()
	if err != nil {
		return nil, err
	}
	var topics []string
	for _, t := range types {
		if topic := choreo.Topic(t); !slices.Contains(topics, topic) {
			topics = append(topics, topic)
		}
	}
	return cmd, errors.Join(
		cmd.RegisterFlagCompletionFunc("type", cobra.FixedCompletions(types, cobra.ShellCompDirectiveNoFileComp)),
		cmd.RegisterFlagCompletionFunc("topic", cobra.FixedCompletions(topics, cobra.ShellCompDirectiveNoFileComp)))
}

// closest finds what somebody may have meant: types that hold the words.
func closest(typ string, types []string) string {
	name := strings.ToLower(typ[strings.IndexByte(typ, '.')+1:])
	name, _, _ = strings.Cut(name, ".")
	for _, t := range types {
		if strings.Contains(strings.ToLower(t), name) {
			return "; did you mean " + t + "?"
		}
	}
	return "; `troupe emit <Tab>` completes them"
}
