// Package compose tests the composed system, one container per consumer, from
// outside: through its API, Mailpit's API, S3, the sandbox's lists and the stock
// Kafka tools. It imports nothing of the project, and is built with the tag
// compose only:
//
//	scripts/with-compose go test -count=1 -tags compose ./test/compose/
//
// On a system that is up already it finds what Compose publishes by itself;
// TROUPE_URL, TROUPE_MAILPIT_URL, TROUPE_S3_URL, TROUPE_SANDBOX_URL and
// COMPOSE_PROJECT_NAME say otherwise.
package compose
