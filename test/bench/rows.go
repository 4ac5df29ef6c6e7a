package main

// rows are the rows of the table.
func rows() []*row {
	return []*row{
		{"consume", "consumed, OnBatch, Parallel()", "events/s", consuming(1, inParallel)},
		{"consume_merged", "consumed, OnBatch, merged", "events/s", consuming(1, merged)},
		{"consume_each", "consumed, On, a statement per event", "events/s", consuming(4, oneByOne)},
		{"relay", "relayed from the outbox to Kafka", "events/s", relaying},
	}
}

func growthRows() []*row { return nil }
