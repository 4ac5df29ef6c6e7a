package broker_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"troupe/choreo/broker"
	"troupe/choreo/choreotest"
	"troupe/choreo/embedded/embeddedtest"
)

const partitions = 4

// asMember is a variable of the environment that makes the test binary a process
// with one member, to be killed.
const asMember = "TROUPE_TEST_MEMBER"

func TestMain(m *testing.M) {
	if where := strings.Split(os.Getenv(asMember), " "); len(where) == 3 {
		c := broker.Config{Brokers: where[:1], Prefix: where[1], Instance: where[2], Log: slog.Default()}
		if err := beMember(c); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// beMember joins, takes one batch, which it never acknowledges, and says so.
func beMember(c broker.Config) error {
	out, err := broker.NewSubscriber(c, "group", false).Subscribe(context.Background(), "topic")
	if err != nil {
		return err
	}
	<-out
	fmt.Println("taken")
	select {}
}

// topic makes a topic of some partitions with a record in each.
func topic(t *testing.T) broker.Config {
	t.Helper()
	c := broker.Config{Brokers: []string{embeddedtest.Broker(t)}, Prefix: embeddedtest.Prefix(t), Log: slog.New(slog.DiscardHandler)}
	config := sarama.NewConfig()
	config.Version = sarama.V3_0_0_0
	admin, err := sarama.NewClusterAdmin(c.Brokers, config)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if err := admin.CreateTopic(c.Prefix+"topic", &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false); err != nil {
		t.Fatal(err)
	}
	write(t, c)
	return c
}

// write writes a record to each partition.
func write(t *testing.T, c broker.Config) {
	t.Helper()
	config := sarama.NewConfig()
	config.Producer.Return.Successes = true
	config.Producer.Retry.Max = 30
	config.Producer.Partitioner = sarama.NewManualPartitioner
	producer, err := sarama.NewSyncProducer(c.Brokers, config)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	for i := range int32(partitions) {
		if _, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: c.Prefix + "topic", Partition: i, Value: sarama.StringEncoder("{}")}); err != nil {
			t.Fatal(err)
		}
	}
}

// member is a subscriber in this process that counts the records it takes.
type member struct {
	*broker.Subscriber

	mu    sync.Mutex
	taken [partitions]int
}

func join(t *testing.T, c broker.Config, instance string) *member {
	t.Helper()
	c.Instance = instance
	m := &member{Subscriber: broker.NewSubscriber(c, "group", false)}
	out, err := m.Subscribe(t.Context(), "topic")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	go func() {
		for msg := range out {
			m.mu.Lock()
			for _, r := range broker.BatchOf(msg).Records {
				m.taken[r.Partition]++
			}
			m.mu.Unlock()
			msg.Ack()
		}
	}()
	return m
}

// everywhere tells whether it has taken that many records of each partition.
func (m *member) everywhere(n int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, taken := range m.taken {
		if taken < n {
			return false
		}
	}
	return true
}

// kill starts a process with a member of the group, and kills it when it has
// taken a batch.
func kill(t *testing.T, c broker.Config, instance string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asMember+"="+c.Brokers[0]+" "+c.Prefix+" "+instance)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // it was killed
	if err != nil || line != "taken\n" {
		t.Fatalf("the member says %q (%v)", line, err)
	}
}

// A member that was killed and comes back has its partitions at once, long
// before the session of the one that was killed has run out, in 10 s.
func TestAKilledInstanceComesBackAtOnce(t *testing.T) {
	t.Parallel()
	c := topic(t)
	kill(t, c, "a")
	began := time.Now()
	back := join(t, c, "a")
	choreotest.Eventually(t, "what it had taken comes again", func() bool { return back.everywhere(1) })
	took := time.Since(began)
	t.Logf("back after %s", took)
	if took > 5*time.Second { // 0.4 s on an idle machine
		t.Errorf("back only after %s", took)
	}
}

// One that is stopped leaves at once, though sarama would have it stay.
func TestAStoppedInstanceHandsOver(t *testing.T) {
	t.Parallel()
	c := topic(t)
	a := join(t, c, "a")
	choreotest.Eventually(t, "the first joins", a.Joined)
	b := join(t, c, "b")
	choreotest.Eventually(t, "the second joins, which the first takes part in", b.Joined)
	began := time.Now()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, c)
	choreotest.Eventually(t, "the second takes all partitions", func() bool { return b.everywhere(1) })
	took := time.Since(began)
	t.Logf("handed over after %s", took)
	if took > 6*time.Second { // it hears of it by its next heartbeat, in 3 s
		t.Errorf("handed over only after %s", took)
	}
}

// Of two with one name the first says why it stops, and does not take the second
// with it.
func TestASecondWithTheSameNameFencesTheFirst(t *testing.T) {
	t.Parallel()
	c := topic(t)
	first := join(t, c, "a")
	choreotest.Eventually(t, "the first joins", first.Joined)
	second := join(t, c, "a")
	choreotest.Eventually(t, "the second takes over", second.Joined)
	select {
	case err := <-first.Failed():
		if !strings.Contains(err.Error(), `same TROUPE_INSTANCE "a"`) {
			t.Errorf("it says %v", err)
		}
	case <-time.After(choreotest.Patience):
		t.Fatal("the first goes on")
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, c)
	choreotest.Eventually(t, "the second takes all that comes", func() bool { return second.everywhere(1) })
	select {
	case err := <-second.Failed():
		t.Errorf("the second fails too: %v", err)
	default:
	}
}
