package main

import (
	"context"
	"database/sql"
	"fmt"

	"troupe/choreo"
)

// ablationRows measure what the parts of a consumed event cost: the row of
// consume as it is, beside one from which something is left out.
func ablationRows() []*row {
	without := func(name, what string, react reaction, check checking) *row {
		return &row{"ablation_" + name, "consumed, OnBatch, Parallel(), " + what, "events/s",
			[2]side{{"whole", false, consuming(1, inParallel)}, {"without", false, consumingOf(1, react, check)}}}
	}
	return []*row{
		without("fact", "no fact emitted", noFact, checkAccounts),
		without("update", "no row updated", noUpdate, func(ctx context.Context, pool *sql.DB, s *stream) error {
			return checkFacts(ctx, pool, s, ourFacts)
		}),
		without("handler", "neither: read, compared with the log, and noted by watermark", nothing, checkTaken),
	}
}

func noFact(name string, begin func()) choreo.Line {
	return choreo.OnBatch(name, bookRows(begin)).Parallel()
}

func noUpdate(name string, begin func()) choreo.Line {
	return choreo.OnBatch(name, func(_ context.Context, tx *choreo.Tx, events []choreo.Event[deposited]) error {
		begin()
		for _, e := range events {
			tx.EmitFor(e, booked(e.Fact))
		}
		return nil
	}).Emits(booked{}).Parallel()
}

func nothing(name string, begin func()) choreo.Line {
	return choreo.OnBatch(name, func(context.Context, *choreo.Tx, []choreo.Event[deposited]) error {
		begin()
		return nil
	}).Parallel()
}

// checkTaken verifies that the watermarks stand at the end of the log.
func checkTaken(ctx context.Context, pool *sql.DB, _ *stream) error {
	var behind int
	err := pool.QueryRowContext(ctx, `select count(*) from choreo.streams s
		left join choreo.watermarks w on w.consumer = $1 and w.source = s.source and w.topic = s.topic and w.partition = s.partition
		where s.topic = 'deposits' and w.sequence is distinct from s.head`, ourName).Scan(&behind)
	if err == nil && behind > 0 {
		err = fmt.Errorf("%d partitions were not taken to their end", behind)
	}
	return err
}
