package main

// rows are the rows of the table. Latencies come first: what the others leave for the
// disk to write and the broker to delete holds up commits for a minute.
func rows() []*row {
	return []*row{
		against("hop_200", "commit to the handler's commit, at 200/s", "ms", stockHop(200), hop(200)),
		against("hop_2000", "commit to the handler's commit, at 2,000/s", "ms", stockHop(2000), hop(2000)),
		against("saga_latency", "three-step saga, at 50/s", "ms", stockSagaLatency, sagaLatency),
		against("consume", "consumed, OnBatch, Parallel()", "events/s", stockConsuming, consuming(1, inParallel)),
		against("consume_merged", "consumed, OnBatch, one batch at a time", "events/s", stockConsuming, consuming(1, merged)),
		against("consume_each", "consumed, On, Parallel(), a statement of its own per event", "events/s", stockConsuming, consuming(4, oneByOne)),
		against("relay", "relayed from the outbox to Kafka", "events/s", stockRelaying, relaying),
		against("saga_rate", "5,000 three-step sagas at once", "sagas/s", stockSagas, sagas),
		against("replay_skip", "skipped below the watermark in a replay", "events/s", stockReplaying, replaying),
	}
}
