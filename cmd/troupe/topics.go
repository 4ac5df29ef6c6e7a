package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"troupe/choreo/broker"
	"troupe/choreo/relay"
)

func topicsCommand() (*cobra.Command, error) {
	apply, err := part("apply", "Make the topics that are missing", "Makes the topics that are missing and writes down how many partitions each has, for the relay.\nA topic that is there is not changed.",
		needsBoth, []string{"brokers", "prefix", "partitions"},
		func(ctx context.Context, c *config, _ []string) error {
			a, err := openApp(ctx, c)
			if err != nil {
				return err
			}
			topics, err := a.applyTopics(ctx)
			if err != nil {
				return errors.Join(err, a.close())
			}
			w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
			for _, t := range topics {
				state := "there"
				if t.Created {
					state = "made"
				}
				fmt.Fprintf(w, "%s%s\t%d partitions\t%s\n", c.Prefix, t.Name, t.Partitions, state)
			}
			return errors.Join(w.Flush(), a.close())
		})
	if err != nil {
		return nil, err
	}
	list, err := topicsList()
	if err != nil {
		return nil, err
	}
	grow, err := topicsGrow()
	if err != nil {
		return nil, err
	}
	topics := &cobra.Command{Use: "topics", Short: "The topics on Kafka"}
	topics.AddCommand(apply, list, grow)
	return topics, nil
}

// listedTopic is a topic as the relay knows it, and as Kafka has it.
type listedTopic struct {
	Topic      string `json:"topic"`
	Partitions int    `json:"partitions"` // as the relay knows it
	OnKafka    int    `json:"onKafka"`    // 0: it is not there
	Facts      int64  `json:"facts"`      // of ours, ever sequenced
	Held       bool   `json:"held"`       // it is growing: its facts wait
}

func topicsList() (*cobra.Command, error) {
	var output string
	list, err := part("list", "List our topics, as the relay knows them and as Kafka has them", "", needsBoth, []string{"brokers", "prefix"},
		func(ctx context.Context, c *config, _ []string) error {
			if output != "text" && output != "json" {
				return usageError{fmt.Errorf("-o %s: choose text or json", output)}
			}
			return withDB(ctx, c, func(a *app) error {
				topics, err := a.listTopics(ctx)
				if err != nil {
					return err
				}
				if output == "json" {
					return json.NewEncoder(os.Stdout).Encode(map[string]any{"items": topics})
				}
				w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "TOPIC\tPARTITIONS\tON KAFKA\tFACTS\tHELD")
				for _, t := range topics {
					fmt.Fprintf(w, "%s%s\t%d\t%d\t%d\t%v\n", c.Prefix, t.Topic, t.Partitions, t.OnKafka, t.Facts, t.Held)
				}
				return w.Flush()
			})
		})
	if err != nil {
		return nil, err
	}
	list.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return list, nil
}

func (a *app) listTopics(ctx context.Context) ([]listedTopic, error) {
	rows, err := a.pool.QueryContext(ctx, `select t.topic, t.partitions, coalesce(t.held_until > choreo.troupe_now(), false),
		(select coalesce(sum(s.head), 0) from choreo.streams s where s.topic = t.topic) from choreo.topics t order by t.topic`)
	if err != nil {
		return nil, fmt.Errorf("listing topics: %w", err)
	}
	defer rows.Close()
	topics := []listedTopic{}
	var names []string
	for rows.Next() {
		var t listedTopic
		if err := rows.Scan(&t.Topic, &t.Partitions, &t.Held, &t.Facts); err != nil {
			return nil, err
		}
		topics, names = append(topics, t), append(names, t.Topic)
	}
	if err := rows.Err(); err != nil || len(names) == 0 {
		return topics, err
	}
	counts, err := broker.CountPartitions(ctx, a.broker, names)
	for i := range topics {
		topics[i].OnKafka = counts[topics[i].Topic]
	}
	return topics, err
}

func topicsGrow() (*cobra.Command, error) {
	var partitions int
	var patience time.Duration
	var execute bool
	grow, err := part("grow TOPIC", "Give a topic more partitions, without reordering a key",
		"Holds the topic's facts in the outbox, while commands go on being accepted, until every registered consumer\n"+
			"has taken what was published; then the topic grows, and they go on. The relay and the consumers must run.\n"+
			"When they do not get there in time, nothing has changed. Producers in other languages are not held.",
		needsBoth, []string{"brokers", "prefix"},
		func(ctx context.Context, c *config, args []string) error {
			return withDB(ctx, c, func(a *app) error {
				counts, err := broker.CountPartitions(ctx, a.broker, args)
				if err != nil {
					return err
				}
				fmt.Printf("%s%s: %d partitions, to have %d\n", c.Prefix, args[0], counts[args[0]], partitions)
				if !execute {
					return notExecuted()
				}
				if err := relay.Grow(ctx, a.db, a.broker, args[0], partitions, patience); err != nil {
					return err
				}
				fmt.Println("It has grown.")
				return nil
			})
		})
	if err != nil {
		return nil, err
	}
	grow.Args = func(c *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usageError{fmt.Errorf("%s takes one topic; `troupe topics list` shows them", c.CommandPath())}
		}
		if partitions < 1 {
			return usageError{errors.New("say how many it is to have, with --partitions")}
		}
		return nil
	}
	grow.Flags().IntVar(&partitions, "partitions", 0, "how many partitions it is to have")
	grow.Flags().DurationVar(&patience, "wait", 5*time.Minute, "how long to wait for consumers at most")
	grow.Flags().BoolVar(&execute, "execute", false, "do it; without this nothing is changed")
	return grow, nil
}
