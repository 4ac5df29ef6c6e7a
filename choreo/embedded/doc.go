// Package embedded runs what Troupe needs beside itself, a Postgres and a Kafka
// broker, so that `troupe up` and the tests work on a machine that has only Go.
//
// Both are the real thing to their clients: the first is a private PostgreSQL
// server (the system's binaries, else fetched ones), the second kfake, a broker
// that speaks the Kafka protocol inside this process. Neither is meant for
// production: there, Troupe is given the addresses of servers that others run.
//
// The package starts and stops servers and knows nothing of what is stored in
// them: no schema, no topic.
package embedded
