package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"troupe/choreo"
	"troupe/choreo/broker"
	"troupe/choreo/consume"
	"troupe/choreo/operate"
	"troupe/handlers"
)

// consumersCommand is what an operator has for the consumers.
func consumersCommand() (*cobra.Command, error) {
	return group("consumers", "Who has taken what, and who stands still", consumersList, consumersLag,
		func() (*cobra.Command, error) { return consumersPause(true) },
		func() (*cobra.Command, error) { return consumersPause(false) },
		consumersRetire, consumersAcceptGap)
}

// listed is a consumer with its group on Kafka, where that was asked.
type listed struct {
	operate.Consumer
	Group *broker.Group `json:"group,omitempty"`
}

func consumersList() (*cobra.Command, error) {
	return operatorCommand("list", "List consumers: how they are fed, how far behind, what they wait for",
		"With TROUPE_KAFKA_BROKERS also how many members their groups have.", 0, needsDatabase, []string{"brokers", "prefix"},
		func(ctx context.Context, a *app, to *answer, _ []string) error {
			found, err := operate.Consumers(ctx, a.db)
			if err != nil {
				return err
			}
			groups := map[string]broker.Group{}
			if len(a.config.Brokers) > 0 {
				var names []string
				for _, c := range found {
					if len(c.Topics) > 0 && c.Kind != "local" {
						names = append(names, c.Name)
					}
				}
				if groups, err = broker.Groups(ctx, a.broker, names); err != nil {
					return err
				}
			}
			list := make([]listed, len(found))
			for i, c := range found {
				list[i].Consumer = c
				if g, ok := groups[c.Name]; ok {
					list[i].Group = &g
				}
			}
			now, err := a.db.Now(ctx)
			if err != nil {
				return err
			}
			return to.give(items(list), func(w io.Writer) { consumersTable(w, list, now) })
		})
}

func consumersTable(w io.Writer, list []listed, now time.Time) {
	fmt.Fprintln(w, "CONSUMER\tKIND\tSTATE\tMEMBERS\tLAG\tOLDEST\tSTEPS\tPARKED\tTOPICS")
	for _, c := range list {
		members, oldest := "–", "–"
		if c.Group != nil {
			members = strconv.Itoa(c.Group.Members)
		}
		if c.OldestAt != nil {
			oldest = span(now.Sub(*c.OldestAt))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%d\t%d\t%s\n", c.Name, c.Kind, c.State, members, c.Lag, oldest, c.Unfinished, c.Parked,
			cmp.Or(strings.Join(c.Topics, " "), "–"))
	}
}

// place is how far a consumer has come in one partition, in the log and on Kafka.
type place struct {
	operate.Behind
	Committed *int64 `json:"committedOffset,omitempty"`
	End       *int64 `json:"endOffset,omitempty"`
}

func consumersLag() (*cobra.Command, error) {
	cmd, err := operatorCommand("lag CONSUMER", "Show how far a consumer is behind, by partition",
		"Counts facts in the log. With TROUPE_KAFKA_BROKERS also the offsets of its group, as the stock tools show\nthem: those are only a hint where to read on.",
		1, needsDatabase, []string{"brokers", "prefix"},
		func(ctx context.Context, a *app, to *answer, args []string) error {
			c, err := a.consumer(args[0])
			if err != nil {
				return err
			}
			lags, err := operate.Lag(ctx, a.db, c)
			if err != nil {
				return err
			}
			var offsets map[broker.Place]broker.Offsets
			if len(a.config.Brokers) > 0 && !c.Local() {
				if offsets, err = broker.GroupOffsets(ctx, a.broker, c.Name, c.Topics()); err != nil {
					return err
				}
			}
			list := make([]place, len(lags))
			for i, b := range lags {
				list[i].Behind = b
				if o, ok := offsets[broker.Place{Topic: b.Topic, Partition: b.Partition}]; ok {
					list[i].Committed, list[i].End = &o.Committed, &o.End
				}
			}
			gaps, err := operate.Gaps(ctx, a.db, c)
			if err != nil {
				return err
			}
			now, err := a.db.Now(ctx)
			if err != nil {
				return err
			}
			return to.give(items(list), func(w io.Writer) { lagTable(w, c.Name, list, gaps, now) })
		})
	return completingConsumers(cmd, err)
}

func lagTable(w io.Writer, consumer string, list []place, gaps []operate.Gap, now time.Time) {
	fmt.Fprintln(w, "TOPIC\tPARTITION\tTAKEN\tFORWARDED\tHEAD\tLAG\tOLDEST\tOFFSET\tEND\tSOURCE")
	for _, b := range list {
		oldest, offset, end := "–", "–", "–"
		if b.OldestAt != nil {
			oldest = span(now.Sub(*b.OldestAt))
		}
		if b.End != nil {
			offset, end = strconv.FormatInt(*b.Committed, 10), strconv.FormatInt(*b.End, 10)
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%s\n", b.Topic, b.Partition, b.Taken, b.Forwarded, b.Head, b.Lag, oldest, offset, end, b.Source)
	}
	for _, g := range gaps {
		fmt.Fprintf(w, "%s/%d: sequences %d to %d are not in the log any more. Where Kafka has lost them too, it stops there:\n  troupe consumers accept-gap %s\n",
			g.Topic, g.Partition, g.From, g.To, consumer)
	}
}

func consumersPause(pause bool) (*cobra.Command, error) {
	use, short := "pause CONSUMER", "Hold a consumer still, in every process"
	long := "No batch commits any more and no step begins when this returns; a call under way ends. What comes waits on\nKafka and in the log, in order. Reactions inside a command's transaction go on."
	done, already := "is paused", "was paused already"
	if !pause {
		use, short, long = "resume CONSUMER", "Let a paused consumer go on", "Its processes notice within a second."
		done, already = "goes on", "was not paused"
	}
	execute := true
	cmd, err := operatorCommand(use, short, long, 1, needsDatabase, nil, func(ctx context.Context, a *app, to *answer, args []string) error {
		c, err := a.consumer(args[0])
		if err != nil {
			return err
		}
		if !execute {
			return to.give(map[string]any{"consumer": c.Name, "changed": false}, dry)
		}
		changed, err := consume.Pause(ctx, a.db, c, pause)
		if err != nil {
			return err
		}
		return to.give(map[string]any{"consumer": c.Name, "changed": changed}, func(w io.Writer) {
			if !changed {
				done = already
			}
			fmt.Fprintln(w, c.Name, done+".")
		})
	})
	if err == nil {
		cmd.Flags().BoolVar(&execute, "execute", true, "=false: change nothing")
	}
	return completingConsumers(cmd, err)
}

func consumersRetire() (*cobra.Command, error) {
	var execute bool
	cmd, err := operatorCommand("retire CONSUMER", "Forget how far a consumer has come that is no more",
		"For one that the flow of this binary has no more: the log is not kept for it any longer. Its steps stay as\nhistory. With TROUPE_KAFKA_BROKERS its group is removed too.",
		1, needsDatabase, []string{"brokers", "prefix"}, func(ctx context.Context, a *app, to *answer, args []string) error {
			r, err := operate.Retire(ctx, a.db, args[0], execute)
			if err == nil && execute && len(a.config.Brokers) > 0 {
				err = broker.DeleteGroup(ctx, a.broker, args[0])
			}
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return to.give(map[string]any{"consumer": args[0], "executed": execute, "remains": r}, func(w io.Writer) {
				verb := "would be"
				if execute {
					verb = "is"
				}
				fmt.Fprintf(w, "%s %s forgotten: %d watermarks, %d offsets, %d ids in its inbox.\n", args[0], verb, r.Watermarks, r.Offsets, r.Inbox)
				if r.OpenSteps > 0 {
					fmt.Fprintf(w, "It has %d steps that have not ended: `troupe steps list --consumer %s`.\n", r.OpenSteps, args[0])
				}
				if !execute {
					dry(w)
				}
			})
		})
	if err != nil {
		return nil, err
	}
	cmd.Flags().BoolVar(&execute, "execute", false, "do it; without this nothing is changed")
	return cmd, nil
}

func consumersAcceptGap() (*cobra.Command, error) {
	var execute bool
	var topic string
	partition := -1
	cmd, err := operatorCommand("accept-gap CONSUMER", "Have a consumer go on behind facts that are lost for good",
		"A consumer that misses facts reads them from the log. Where the log has them no more it stops; this has it go\non with the next fact there is. What is in the gap it will never take.",
		1, needsDatabase, nil, func(ctx context.Context, a *app, to *answer, args []string) error {
			c, err := a.consumer(args[0])
			if err != nil {
				return err
			}
			all, err := operate.Gaps(ctx, a.db, c)
			if err != nil {
				return err
			}
			var gaps []operate.Gap
			for _, g := range all {
				if (topic == "" || g.Topic == topic) && (partition < 0 || int(g.Partition) == partition) {
					gaps = append(gaps, g)
				}
			}
			if execute {
				if err := operate.AcceptGap(ctx, a.db, c, gaps); err != nil {
					return err
				}
			}
			return to.give(map[string]any{"consumer": c.Name, "executed": execute, "items": append([]operate.Gap{}, gaps...)}, func(w io.Writer) {
				if len(gaps) == 0 {
					fmt.Fprintf(w, "%s has no gap before it.\n", c.Name)
					return
				}
				fmt.Fprintln(w, "TOPIC\tPARTITION\tFROM\tTO\tFACTS\tSOURCE")
				for _, g := range gaps {
					fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%s\n", g.Topic, g.Partition, g.From, g.To, g.To-g.From+1, g.Source)
				}
				if execute {
					fmt.Fprintf(w, "%s goes on behind them.\n", c.Name)
				} else {
					fmt.Fprintf(w, "%s would never take them. ", c.Name)
					dry(w)
				}
			})
		})
	if err != nil {
		return nil, err
	}
	cmd.Flags().BoolVar(&execute, "execute", false, "do it; without this nothing is changed")
	cmd.Flags().StringVar(&topic, "topic", "", "on this topic only")
	cmd.Flags().IntVar(&partition, "partition", partition, "in this partition only")
	return completingConsumers(cmd, nil)
}

// consumer is the consumer of a name, as somebody typed it.
func (a *app) consumer(name string) (*choreo.Consumer, error) {
	if c := a.flow.Consumer(name); c != nil {
		return c, nil
	}
	return nil, usageError{fmt.Errorf("the flow has no consumer %q; `troupe consumers list` names them", name)}
}

// completingConsumers has the shell complete the names of consumers.
func completingConsumers(cmd *cobra.Command, err error) (*cobra.Command, error) {
	if err != nil {
		return nil, err
	}
	flow, err := handlers.Flow(handlers.Outside{})
	if err != nil {
		return nil, errors.Join(errors.New("completing consumers"), err)
	}
	for _, c := range flow.Consumers() {
		cmd.ValidArgs = append(cmd.ValidArgs, c.Name)
	}
	return cmd, nil
}
