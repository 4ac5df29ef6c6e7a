// Package sandboxtest starts a sandbox for a test: real sockets, a database of
// its own, and short delays.
package sandboxtest

import (
	"context"
	"database/sql"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	_ "github.com/lib/pq" // the driver "postgres"

	"troupe/choreo/embedded/embeddedtest"
	"troupe/sandbox"
)

// StaffToken and PaymentKey are the secrets of every sandbox started here.
const (
	StaffToken = "staff-of-the-sandbox"
	PaymentKey = "sk_test_sandbox"
)

// Sandbox is a sandbox that ends with its test.
type Sandbox struct {
	*sandbox.Sandbox
	t testing.TB
}

// Mail is an attempt to deliver a mail.
type Mail struct {
	To, Subject, Text, Kind, Status string
	At                              time.Time
}

// Payment is an attempt to charge, to refund or to cancel.
type Payment struct {
	Kind, Key, Reference, Currency, Status string
	Amount                                 int64
	At                                     time.Time
}

// Update is an attempt to tell the carrier where an order goes.
type Update struct {
	OrderID, ChangeID, Key, Status string
	ShippingInfo                   struct{ Name, Street, City, PostalCode, Country string }
	At                             time.Time
}

// Text is an attempt to send an SMS.
type Text struct {
	To, Text, Key, Status string
	At                    time.Time
}

// Start starts a sandbox on free ports, with options changed where wanted.
// What is slow on demand takes 50 ms.
func Start(t testing.TB, change ...func(*sandbox.Options)) *Sandbox {
	t.Helper()
	return StartOn(t, embeddedtest.Database(t, sandbox.Migrate), change...)
}

// StartOn is Start on a database of the caller's choice: on one where an
// earlier sandbox was killed, say.
func StartOn(t testing.TB, databaseURL string, change ...func(*sandbox.Options)) *Sandbox {
	t.Helper()
	db, err := sql.Open("postgres", databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	opts := sandbox.Options{
		Database: db, SMTPAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0", StaffToken: StaffToken, PaymentKey: PaymentKey,
		Timing: sandbox.Timing{SlowMail: 50 * time.Millisecond, SlowCard: 50 * time.Millisecond, Hang: 50 * time.Millisecond},
	}
	for _, c := range change {
		c(&opts)
	}
	s, err := sandbox.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Errorf("closing the sandbox: %v", err)
		}
		if err := db.Close(); err != nil {
			t.Errorf("closing the sandbox's database: %v", err)
		}
	})
	return &Sandbox{Sandbox: s, t: t}
}

// MailURL is where a mailer sends to.
func (s *Sandbox) MailURL() string { return "smtp://" + s.SMTPAddr() }

// PaymentURL is the base URL of the payment provider.
func (s *Sandbox) PaymentURL() string { return "http://" + s.HTTPAddr() }

// Mail lists all attempts to deliver, oldest first.
func (s *Sandbox) Mail() []Mail { return list[Mail](s, "mail") }

// Payments lists all attempts to charge, refund and cancel, oldest first.
func (s *Sandbox) Payments() []Payment { return list[Payment](s, "payments") }

// CarrierURL is the base URL of the carrier.
func (s *Sandbox) CarrierURL() string { return s.PaymentURL() + "/carrier" }

// SMSURL is the base URL of the SMS gateway.
func (s *Sandbox) SMSURL() string { return s.PaymentURL() + "/sms" }

// Updates lists all attempts to tell the carrier, oldest first.
func (s *Sandbox) Updates() []Update { return list[Update](s, "carrier") }

// Texts lists all attempts to send an SMS, oldest first.
func (s *Sandbox) Texts() []Text { return list[Text](s, "sms") }

func list[T any](s *Sandbox, name string) []T {
	s.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.PaymentURL()+"/sandbox/"+name, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+StaffToken)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	var body struct{ Items []T }
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil || answer.StatusCode != http.StatusOK {
		s.t.Fatalf("GET /sandbox/%s: %s, %v", name, answer.Status, err)
	}
	return body.Items
}
