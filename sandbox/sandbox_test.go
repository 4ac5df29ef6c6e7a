package sandbox_test

import (
	"context"
	"database/sql"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"troupe/choreo/embedded/embeddedtest"
	"troupe/sandbox"
	"troupe/sandbox/sandboxtest"
)

func TestTheListsAreForStaff(t *testing.T) {
	t.Parallel()
	box := sandboxtest.Start(t)
	mounted := httptest.NewServer(box.Handler())
	t.Cleanup(mounted.Close)
	for _, c := range []struct {
		path, authorization string
		status              int
	}{
		{"/sandbox/mail", "", 401},
		{"/sandbox/mail", "Basic " + sandboxtest.StaffToken, 401},
		{"/sandbox/mail", "Bearer ", 401},
		{"/sandbox/payments", "Bearer someone", 403},
		{"/sandbox/payments", "Bearer " + sandboxtest.StaffToken + "x", 403},
		{"/sandbox/unknown", "Bearer someone", 403},
		{"/sandbox/unknown", "Bearer " + sandboxtest.StaffToken, 404},
		{"/sandbox/mail?limit=x", "Bearer " + sandboxtest.StaffToken, 422},
		{"/sandbox/mail?limit=0", "Bearer " + sandboxtest.StaffToken, 422},
		{"/sandbox/mail", "Bearer " + sandboxtest.StaffToken, 200},
		{"/sandbox/payments", "Bearer " + sandboxtest.StaffToken, 200},
	} {
		for _, base := range []string{box.PaymentURL(), mounted.URL} {
			status, contentType, body := get(t, base, c.path, c.authorization)
			want := "application/problem+json"
			if c.status == 200 {
				want = "application/json"
				if body != `{"items":[]}` {
					t.Errorf("%s: an empty list is %s", c.path, body)
				}
			}
			if status != c.status || contentType != want {
				t.Errorf("%s by %q: %d %s, want %d %s", c.path, c.authorization, status, contentType, c.status, want)
			}
		}
	}
}

func TestWithoutAStaffTokenNobodyReads(t *testing.T) {
	t.Parallel()
	box := sandboxtest.Start(t, func(o *sandbox.Options) { o.StaffToken = "" })
	if status, _, _ := get(t, box.PaymentURL(), "/sandbox/mail", "Bearer x"); status != 403 {
		t.Errorf("answered %d", status)
	}
}

func TestTheListsAreOldestFirst(t *testing.T) {
	t.Parallel()
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	box := sandboxtest.Start(t, func(o *sandbox.Options) { o.Now = func() time.Time { return at } })
	for _, id := range []string{"a", "b", "c"} {
		if err := send(box, id, id, id+"@example.org"); err != nil {
			t.Fatal(err)
		}
	}
	_, _, body := get(t, box.PaymentURL(), "/sandbox/mail?limit=2", "Bearer "+sandboxtest.StaffToken)
	want := `{"items":[` +
		`{"to":"a@example.org","subject":"s","text":"a\n","kind":"","at":"2030-01-02T02:04:05Z","status":"succeeded"},` +
		`{"to":"b@example.org","subject":"s","text":"b\n","kind":"","at":"2030-01-02T02:04:05Z","status":"succeeded"}]}`
	if body != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
	mustStripe(t, box.PaymentURL(), "POST", "/v1/payment_intents/"+create(t, box.PaymentURL(), "k")+"/confirm", "k#confirm", withCard("tok_visa"))
	_, _, body = get(t, box.PaymentURL(), "/sandbox/payments", "Bearer "+sandboxtest.StaffToken)
	want = `{"items":[{"kind":"charge","key":"k","reference":"k","amount":500,"currency":"EUR","at":"2030-01-02T02:04:05Z","status":"succeeded"}]}`
	if body != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
}

func TestOneAnswerStandsForAllRecipients(t *testing.T) {
	t.Parallel()
	box := sandboxtest.Start(t)
	for attempt, want := range []string{"550", "550", "550", "550"} {
		err := send(box, "id", "text", "ann@example.org", "flaky@example.org", "bounce@example.org", "ann@example.org")
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("attempt %d: %v, want %s", attempt+1, err, want)
		}
	}
	got := map[string][]string{}
	for _, m := range box.Mail() {
		got[m.To] = append(got[m.To], m.Status)
	}
	for to, want := range map[string][]string{
		"ann@example.org":    {"succeeded", "replayed", "replayed", "replayed"},
		"flaky@example.org":  {"failed", "failed", "succeeded", "replayed"},
		"bounce@example.org": {"declined", "declined", "declined", "declined"},
	} {
		if !slices.Equal(got[to], want) {
			t.Errorf("%s: %v, want %v", to, got[to], want)
		}
	}
}

func TestMailThatIsNone(t *testing.T) {
	t.Parallel()
	box := sandboxtest.Start(t)
	if err := send(box, "a\r\nno header", "text", "ann@example.org"); err == nil || !strings.HasPrefix(err.Error(), "554") {
		t.Errorf("not a mail: %v", err)
	}
	if err := send(box, "large", strings.Repeat("0123456789\r\n", 1<<20), "ann@example.org"); err == nil || !strings.HasPrefix(err.Error(), "552") {
		t.Errorf("too large: %v", err)
	}
	if err := send(box, "zero", "a\x00b", "ann@example.org"); err != nil || box.Mail()[0].Text != "ab\n" {
		t.Errorf("with a zero byte: %v, %v", err, box.Mail())
	}
}

// TestARepeatRacingItself delivers once, however many arrive at a time.
func TestARepeatRacingItself(t *testing.T) {
	t.Parallel()
	box := sandboxtest.Start(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := send(box, "id", "text", "ann@example.org"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	count := map[string]int{}
	for _, m := range box.Mail() {
		count[m.Status]++
	}
	if count["succeeded"] != 1 || count["replayed"] != 7 {
		t.Errorf("got %v", count)
	}
}

func TestCloseIsQuick(t *testing.T) {
	t.Parallel()
	slow := func(o *sandbox.Options) {
		o.Timing = sandbox.Timing{SlowMail: time.Hour, SlowCard: time.Hour, Hang: time.Hour}
	}
	for name, wait := range map[string]func(*sandboxtest.Sandbox) error{
		"a slow mail": func(box *sandboxtest.Sandbox) error { return send(box, "id", "text", "slow@example.org") },
		"a slow card": func(box *sandboxtest.Sandbox) error { return confirm(t, box, "tok_slow") },
		"a hang":      func(box *sandboxtest.Sandbox) error { return confirm(t, box, "tok_timeout_after_charge") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			delaying := make(signal, 1)
			box := sandboxtest.Start(t, slow, func(o *sandbox.Options) {
				o.Log = slog.New(slog.NewTextHandler(delaying, &slog.HandlerOptions{Level: slog.LevelDebug}))
			})
			ended := make(chan error, 1)
			go func() { ended <- wait(box) }()
			<-delaying
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if err := box.Close(ctx); err != nil || ctx.Err() != nil {
				t.Errorf("closing: %v", err)
			}
			if err := <-ended; err == nil {
				t.Error("it was answered")
			}
			if err := box.Close(ctx); err != nil {
				t.Errorf("closing again: %v", err)
			}
		})
	}
}

// signal is a log that tells when a delay begins.
type signal chan struct{}

func (s signal) Write(line []byte) (int, error) {
	if strings.Contains(string(line), "takes its time") {
		select {
		case s <- struct{}{}:
		default:
		}
	}
	return len(line), nil
}

func confirm(t *testing.T, box *sandboxtest.Sandbox, token string) error {
	form := url.Values{"amount": {"500"}, "currency": {"eur"}}
	intent, err := stripe(t, box.PaymentURL(), "POST", "/v1/payment_intents", "k", form)
	if err != nil {
		return err
	}
	_, err = stripe(t, box.PaymentURL(), "POST", "/v1/payment_intents/"+intent.ID+"/confirm", "k#confirm", withCard(token))
	return err
}

func TestManyStartAtOnce(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("postgres", embeddedtest.Database(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			s, err := sandbox.Start(t.Context(), sandbox.Options{Database: db})
			if err != nil {
				t.Error(err)
				return
			}
			if s.SMTPAddr() != "" || s.HTTPAddr() != "" {
				t.Error("listens without being asked to")
			}
			if err := s.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestAnAddressInUse(t *testing.T) {
	t.Parallel()
	box := sandboxtest.Start(t)
	db, err := sql.Open("postgres", embeddedtest.Database(t, sandbox.Migrate))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	for _, o := range []sandbox.Options{{SMTPAddr: box.SMTPAddr()}, {HTTPAddr: box.HTTPAddr()}} {
		o.Database = db
		if _, err := sandbox.Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), "in use") {
			t.Errorf("got %v", err)
		}
	}
	if status, _, _ := get(t, box.PaymentURL(), "/elsewhere", ""); status != http.StatusNotFound {
		t.Errorf("answered %d", status)
	}
}
