//go:build compose

package compose

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// patience is how long anything that must come may take. It is long for a busy
// machine; what is waited for comes within seconds.
const patience = time.Minute

// system is the composed system as seen from outside.
type system struct {
	url, mailpit, sandbox, s3 string
	staffToken, paymentKey    string
	s3Key, s3Secret           string
	consumers                 []string // the services that run a consumer
}

var sys system

func TestMain(m *testing.M) {
	if err := sys.find(); err != nil {
		fmt.Fprintln(os.Stderr, "the composed system is not there (docker compose up -d --build --wait):", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// find asks Compose where things are and which secrets they were started with.
func (s *system) find() error {
	config, err := docker("config", "--format", "json")
	if err != nil {
		return err
	}
	var project struct {
		Services map[string]struct {
			Command     []string
			Environment map[string]string
		}
	}
	if err := json.Unmarshal([]byte(config), &project); err != nil {
		return fmt.Errorf("reading the Compose file: %w", err)
	}
	for name, service := range project.Services {
		if len(service.Command) > 0 && service.Command[0] == "run" {
			s.consumers = append(s.consumers, name)
		}
	}
	api := project.Services["api"].Environment
	s.staffToken, s.paymentKey = api["TROUPE_STAFF_TOKEN"], project.Services["sandbox"].Environment["TROUPE_PAYMENT_KEY"]
	s.s3Key, s.s3Secret = api["AWS_ACCESS_KEY_ID"], api["AWS_SECRET_ACCESS_KEY"]
	for _, at := range []struct {
		url                     *string
		variable, service, port string
	}{
		{&s.url, "TROUPE_URL", "api", "8080"}, {&s.mailpit, "TROUPE_MAILPIT_URL", "mailpit", "8025"},
		{&s.sandbox, "TROUPE_SANDBOX_URL", "sandbox", "8090"}, {&s.s3, "TROUPE_S3_URL", "versitygw", "7070"},
	} {
		if *at.url = os.Getenv(at.variable); *at.url != "" {
			continue
		}
		published, err := docker("port", at.service, at.port)
		if err != nil {
			return err
		}
		*at.url = "http://" + strings.TrimSpace(published)
	}
	return nil
}

// docker runs `docker compose` on the system and gives what it printed.
func docker(args ...string) (string, error) {
	cmd := exec.Command("docker", append([]string{"compose"}, args...)...)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("docker compose %s: %w: %s", strings.Join(args, " "), err, exit.Stderr)
	}
	return string(out), err
}

func mustDocker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := docker(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// objects are the keys of the bucket that begin so.
func (s *system) objects(t *testing.T, prefix string) []string {
	t.Helper()
	client := s3.New(s3.Options{
		BaseEndpoint: &s.s3, Region: "us-east-1", UsePathStyle: true,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: s.s3Key, SecretAccessKey: s.s3Secret}, nil
		}),
	})
	list, err := client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("troupe"), Prefix: &prefix})
	if err != nil {
		t.Fatalf("listing the bucket: %v", err)
	}
	keys := []string{}
	for _, o := range list.Contents {
		keys = append(keys, *o.Key)
	}
	return keys
}

// mail is what Mailpit has of a message.
type mail struct{ ID, Subject, Text string }

// mails are those that an address was sent, the newest first.
func (s *system) mails(t *testing.T, to string) []mail {
	t.Helper()
	var found struct{ Messages []mail }
	call(t, "", "GET", s.mailpit+"/api/v1/search?query=to:%22"+to+"%22", nil).into(t, 200, &found)
	for i, m := range found.Messages {
		call(t, "", "GET", s.mailpit+"/api/v1/message/"+m.ID, nil).into(t, 200, &found.Messages[i])
	}
	return found.Messages
}

// payment is one attempt to charge, refund or cancel, as the sandbox lists it.
type payment struct {
	Kind, Reference, Status string
	Amount                  int64
}

// payments counts what the provider did for an order, by kind and status.
func (s *system) payments(t *testing.T, orderID string) map[string]int {
	t.Helper()
	var list struct{ Items []payment }
	call(t, s.staffToken, "GET", s.sandbox+"/sandbox/payments", nil).into(t, 200, &list)
	counts := map[string]int{}
	for _, p := range list.Items {
		if p.Reference == orderID {
			counts[p.Kind+" "+p.Status]++
		}
	}
	return counts
}

// charging tells whether the provider has been asked to charge for an order,
// which is before it answers.
func (s *system) charging(t *testing.T, orderID string) bool {
	t.Helper()
	query := url.Values{"query": {"metadata['reference']:'" + orderID + "'"}}
	var found struct{ Data []struct{ ID string } }
	call(t, s.paymentKey, "GET", s.sandbox+"/v1/payment_intents/search?"+query.Encode(), nil).into(t, 200, &found)
	return len(found.Data) > 0
}

// saga is what the API says of a saga.
type saga struct {
	Status, Outcome string
	Steps           []struct{ Event, Consumer string }
	Owed            []struct{ Undo string }
}

func (s saga) count(event string) (n int) {
	for _, step := range s.Steps {
		if step.Event == event {
			n++
		}
	}
	return n
}

// settled waits until a saga has settled with this outcome.
func (s *system) settled(t *testing.T, id, outcome string) (got saga) {
	t.Helper()
	if id == "" {
		t.Fatal("the command named no saga")
	}
	eventually(t, "the saga settles as "+outcome, func() error {
		got = saga{}
		call(t, s.staffToken, "GET", s.url+"/sagas/"+id, nil).into(t, 200, &got)
		if got.Status != "settled" || got.Outcome != outcome {
			return fmt.Errorf("it is %s, %s: %+v", got.Status, cmp.Or(got.Outcome, "without an outcome"), got.Steps)
		}
		return nil
	})
	return got
}

// eventually waits for check to give no error.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("%s: not within %s: %v", what, patience, err)
		}
	}
}
