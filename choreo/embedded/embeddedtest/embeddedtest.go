// Package embeddedtest gives a test a real Postgres database and a Kafka broker
// of its own, in milliseconds and with nothing installed or started beforehand.
//
// All databases of a test binary lie on one server: the one that
// TROUPE_TEST_DATABASE_URL names, which several test binaries may share, else a
// private one that is started when the first test asks, and gone when the test
// process is, whatever way that ends.
package embeddedtest

import (
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"testing"

	"troupe/choreo/embedded"
)

// Broker is the host:port of a Kafka broker: the one that TROUPE_KAFKA_BROKERS
// names, else one in memory for this test alone. Give topics and groups the
// [Prefix], so that the test passes on both.
func Broker(t testing.TB) (addr string) {
	t.Helper()
	if addr := os.Getenv("TROUPE_KAFKA_BROKERS"); addr != "" {
		return addr
	}
	k, err := embedded.StartKafka(embedded.KafkaOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	return k.Addr()
}

// Prefix is a new TROUPE_PREFIX, such as "t7gxq2m4c-".
func Prefix(testing.TB) string { return fmt.Sprintf("t%s-", token()) }

// token is random, and fit for a topic's and a database's name.
func token() string { return strings.ToLower(rand.Text()[:8]) }
