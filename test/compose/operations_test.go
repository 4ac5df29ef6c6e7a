//go:build compose

package compose

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// kill ends the container of a service as a crash would, until start.
func kill(t *testing.T, service string) (start func()) {
	t.Helper()
	mustDocker(t, "kill", service)
	start = sync.OnceFunc(func() { revive(t, service) })
	t.Cleanup(start)
	return start
}

// revive starts the container of a service, and no other beside it.
func revive(t *testing.T, service string) {
	t.Helper()
	mustDocker(t, "up", "-d", "--no-deps", "--no-recreate", service)
}

// Whoever is killed, the work queues; started again, it is done, once.
func TestKilledServiceGoesOn(t *testing.T) {
	for _, c := range []struct{ service, card string }{
		{"capture-payment", "tok_visa"},
		{"mail-buyer", "tok_visa"},
		{"relay", "tok_visa"},
	} {
		t.Run(c.service, func(t *testing.T) {
			p := signUp(t)
			// In the middle of its work, as well as can be told from outside.
			orders := []order{p.order(t, "tok_slow")}
			start := kill(t, c.service)
			for range 4 {
				orders = append(orders, p.order(t, c.card))
			}
			start()
			for _, o := range orders {
				sys.settled(t, o.saga, "completed")
				p.becomes(t, o, "confirmed", "none")
				if counts := sys.payments(t, o.OrderID); counts["charge succeeded"] != 1 {
					t.Errorf("the provider did %v, want one charge", counts)
				}
				if n := p.confirmations(t, o); n != 1 {
					t.Errorf("the buyer got %d mails, want 1", n)
				}
			}
		})
	}
}

// A consumer that is down holds up nobody else.
func TestKilledConsumerHoldsUpItsOwnWorkOnly(t *testing.T) {
	start := kill(t, "capture-payment")
	p := signUp(t)
	o := p.order(t, "tok_visa")
	sys.settled(t, p.signUp.saga(), "completed")
	made, saga := p.write(t, nil, []string{p.upload(t, "free.png", picture(t))})
	sys.settled(t, saga, "completed")
	if got := read(t, made.PostID); got.State != "published" {
		t.Errorf("the post is %s", got.State)
	}
	if got := p.becomes(t, o, "submitted", "none"); got.Captured.Amount != 0 {
		t.Errorf("captured %v while nobody could", got.Captured)
	}
	start()
	p.becomes(t, o, "confirmed", "none")
}

// kafka runs a stock tool in Kafka's container.
func kafka(t *testing.T, tool string, args ...string) string {
	t.Helper()
	return mustDocker(t, append([]string{"exec", "-T", "kafka", "/opt/kafka/bin/kafka-" + tool + ".sh", "--bootstrap-server", "kafka:19092"}, args...)...)
}

func TestTopicReadAgainFromTheStartRepeatsNothing(t *testing.T) {
	p := signUp(t)
	o := p.order(t, "tok_visa")
	sys.settled(t, o.saga, "completed")
	before := sys.payments(t, o.OrderID)
	for _, group := range []string{"capture-payment", "mail-buyer"} {
		mustDocker(t, "stop", group)
		kafka(t, "consumer-groups", "--group", group, "--all-topics", "--reset-offsets", "--to-earliest", "--execute")
		revive(t, group)
		eventually(t, group+" reads its topics to the end", func() error {
			if behind := lag(kafka(t, "consumer-groups", "--group", group, "--describe")); behind != "" {
				return fmt.Errorf("behind: %s", behind)
			}
			return nil
		})
	}
	// What comes afterwards is done, so what came before has been looked at.
	again := p.order(t, "tok_visa")
	sys.settled(t, again.saga, "completed")
	paid(t, o, before)
	if n := p.confirmations(t, o); n != 1 {
		t.Errorf("the buyer got %d mails, want 1", n)
	}
}

// lag is a line of a partition that is not read to its end, or of none at all.
func lag(described string) string {
	partitions := 0
	for line := range strings.Lines(described) {
		// GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG …
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[0] == "GROUP" {
			continue
		}
		partitions++
		if fields[5] != "0" && fields[4] != "0" {
			return line
		}
	}
	if partitions == 0 {
		return "no partition is assigned"
	}
	return ""
}

// The facts are CloudEvents that the stock tools read.
func TestFactsOnKafka(t *testing.T) {
	t.Parallel()
	p := signUp(t)
	o := p.order(t, "tok_visa")
	sys.settled(t, o.saga, "completed")
	// The tool gives up when nothing came for a while, on a busy machine before
	// it has joined.
	var out string
	for patience := 5; patience <= 40 && !strings.Contains(out, "orders.BuyerMailed.v1"); patience *= 2 {
		out = kafka(t, "console-consumer", "--topic", "orders", "--from-beginning", "--timeout-ms", strconv.Itoa(patience*1000),
			"--formatter-property", "print.headers=true", "--formatter-property", "print.key=true")
	}
	found := map[string]bool{}
	for line := range strings.Lines(out) {
		headers, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		key, value, _ := strings.Cut(rest, "\t")
		if key != o.OrderID {
			continue
		}
		for _, want := range []string{"ce_specversion:1.0", "ce_id:", "ce_source:/troupe/", "ce_time:", "ce_correlationid:" + o.saga, "ce_sequence:", "content-type:application/json"} {
			if !strings.Contains(headers, want) {
				t.Errorf("no %s in %s", want, headers)
			}
		}
		var data struct{ OrderID string }
		if err := json.Unmarshal([]byte(value), &data); err != nil || data.OrderID != o.OrderID {
			t.Errorf("the record holds %s (%v)", value, err)
		}
		for header := range strings.SplitSeq(headers, ",") {
			if name, ok := strings.CutPrefix(header, "ce_type:"); ok {
				found[name] = true
			}
		}
	}
	for _, want := range []string{"orders.OrderSubmitted.v1", "orders.OrderConfirmed.v1", "orders.BuyerMailed.v1"} {
		if !found[want] {
			t.Errorf("%s is not on the topic", want)
		}
	}
	if found["orders.OrderStarted.v1"] || strings.Contains(out, "tok_visa") || strings.Contains(out, p.email) {
		t.Error("something is published that never may be")
	}
}

// connectionsEach is how many connections to the database a consumer may have.
const connectionsEach = 3

func TestConnectionsOfConsumers(t *testing.T) {
	t.Parallel()
	most, stop := watchConnections(t)
	p := signUp(t)
	var orders []order
	var sagas []string
	for range 20 {
		orders = append(orders, p.order(t, "tok_visa"))
		_, saga := p.write(t, []string{"busy"}, nil)
		sagas = append(sagas, saga)
	}
	for _, saga := range sagas {
		sys.settled(t, saga, "completed")
	}
	for _, o := range orders {
		sys.settled(t, o.saga, "completed")
	}
	stop()
	seen := 0
	for _, service := range sys.consumers {
		n := most[address(t, service)]
		if n > connectionsEach {
			t.Errorf("%s had %d connections, more than %d", service, n, connectionsEach)
		}
		if n > 0 {
			seen++
		}
	}
	if seen == 0 {
		t.Errorf("no consumer was seen: %v", most)
	}
}

// watchConnections notes the most connections from each address, until stopped.
func watchConnections(t *testing.T) (most map[string]int, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, "docker", "compose", "exec", "-T", "postgres", "psql", "-U", "troupe", "-qAtF", " ")
	cmd.Dir = "../.."
	cmd.Stdin = strings.NewReader(`select host(client_addr), count(*) from pg_stat_activity
		where backend_type = 'client backend' and client_addr is not null group by 1 \watch 0.2` + "\n")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	most = map[string]int{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var from string
			var n int
			if _, err := fmt.Sscan(lines.Text(), &from, &n); err == nil {
				most[from] = max(most[from], n)
			}
		}
	}()
	return most, func() {
		cancel()
		<-done
		_ = cmd.Wait() // it was killed
	}
}

// address is the container's on the network of the system.
func address(t *testing.T, service string) string {
	t.Helper()
	id := strings.TrimSpace(mustDocker(t, "ps", "-q", service))
	out, err := exec.Command("docker", "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", id).Output()
	if err != nil {
		t.Fatalf("inspecting %s: %v", service, err)
	}
	return strings.TrimSpace(string(out))
}
