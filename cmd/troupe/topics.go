package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"troupe/choreo/broker"
	"troupe/choreo/relay"
)

func topicsCommand() (*cobra.Command, error) {
	return group("topics", "The topics on Kafka", topicsApply, topicsList, topicsGrow)
}

func topicsApply() (*cobra.Command, error) {
	to := &answer{}
	apply, err := part("apply", "Make the topics that are missing", "Makes the topics that are missing and writes down how many partitions each has, for the relay.\nA topic that is there is not changed.",
		needsBoth, []string{"prefix", "partitions", "up"},
		func(ctx context.Context, c *config, _ []string) error {
			a, err := openApp(ctx, c)
			if err != nil {
				return err
			}
			topics, err := a.applyTopics(ctx)
			if err != nil {
				return errors.Join(err, a.close())
			}
			return errors.Join(to.give(items(topics), func(w io.Writer) {
				for _, t := range topics {
					state := "there"
					if t.Created {
						state = "made"
					}
					fmt.Fprintf(w, "%s%s\t%d partitions\t%s\n", c.Prefix, t.Name, t.Partitions, state)
				}
			}), a.close())
		})
	if err != nil {
		return nil, err
	}
	return to.on(apply), nil
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
	return operatorCommand("list", "List our topics, as the relay knows them and as Kafka has them", "", 0, needsBoth, []string{"prefix"},
		func(ctx context.Context, a *app, to *answer, _ []string) error {
			topics, err := a.listTopics(ctx)
			if err != nil {
				return err
			}
			return to.give(items(topics), func(w io.Writer) {
				fmt.Fprintln(w, "TOPIC\tPARTITIONS\tON KAFKA\tFACTS\tHELD")
				for _, t := range topics {
					fmt.Fprintf(w, "%s%s\t%d\t%d\t%d\t%v\n", a.config.Prefix, t.Topic, t.Partitions, t.OnKafka, t.Facts, t.Held)
				}
			})
		})
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

// grown is what became of a topic that was to grow.
type grown struct {
	Topic      string `json:"topic"`
	Partitions int    `json:"partitions"` // that it had
	To         int    `json:"to"`
	Executed   bool   `json:"executed"`
}

func topicsGrow() (*cobra.Command, error) {
	var partitions int
	var patience time.Duration
	var execute bool
	grow, err := operatorCommand("grow TOPIC", "Give a topic more partitions, without reordering a key",
		"Holds the topic's facts in the outbox, while commands go on being accepted, until every registered consumer\n"+
			"has taken what was published; then the topic grows, and they go on. The relay and the consumers must run.\n"+
			"When they do not get there in time, nothing has changed. Producers in other languages are not held.",
		1, needsBoth, []string{"prefix"}, func(ctx context.Context, a *app, to *answer, args []string) error {
			topic := args[0]
			if partitions < 1 {
				return usageError{errors.New("say how many it is to have, with --partitions")}
			}
			counts, err := broker.CountPartitions(ctx, a.broker, args)
			if err != nil {
				return err
			}
			did := grown{a.config.Prefix + topic, counts[topic], partitions, execute}
			if execute {
				progress("%s is held until every consumer has taken what there is", topic)
				err := relay.Grow(ctx, a.db, a.broker, topic, partitions, patience)
				if progress(""); err != nil {
					return err
				}
			}
			return to.give(did, func(w io.Writer) {
				fmt.Fprintf(w, "%s: %d partitions, to have %d\n", did.Topic, did.Partitions, did.To)
				if !execute {
					dry(w)
					return
				}
				fmt.Fprintln(w, "It has grown.")
			})
		})
	if err != nil {
		return nil, err
	}
	flow, err := theFlow()
	if err != nil {
		return nil, err
	}
	grow.ValidArgs = flow.Topics()
	grow.Flags().IntVar(&partitions, "partitions", 0, "how many partitions it is to have")
	grow.Flags().DurationVar(&patience, "wait", 5*time.Minute, "how long to wait for consumers at most")
	grow.Flags().BoolVar(&execute, "execute", false, "do it; without this nothing is changed")
	return grow, nil
}
