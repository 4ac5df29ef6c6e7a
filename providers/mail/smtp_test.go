package mail

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/wneessen/go-mail/smtp"

	"troupe/sandbox"
	"troupe/sandbox/sandboxtest"
)

func mailer(t *testing.T, url string) *SMTP {
	t.Helper()
	m, err := NewSMTP(url, "Troupe <no-reply@troupe.example>")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSendArrivesAsWritten(t *testing.T) {
	t.Parallel()
	box := sandboxtest.Start(t)
	m := Message{
		To: "ann@example.org", Kind: "verification", Subject: "Bitte bestätigen – ✓",
		Text: "Hello Zoë,\n\n" + strings.Repeat("a0B_-", 40) + "\n.\n..dots\nlast line without end",
	}
	if err := mailer(t, box.MailURL()).Send(t.Context(), "key-1", m); err != nil {
		t.Fatal(err)
	}
	got := box.Mail()
	if len(got) != 1 {
		t.Fatalf("%d attempts, want 1", len(got))
	}
	got[0].Text = strings.TrimSuffix(got[0].Text, "\n") // SMTP ends every line
	want := sandboxtest.Mail{To: m.To, Subject: m.Subject, Text: m.Text, Kind: m.Kind, Status: "succeeded", At: got[0].At}
	if got[0] != want {
		t.Errorf("got  %+v\nwant %+v", got[0], want)
	}
}

func TestSendByRecipient(t *testing.T) {
	t.Parallel()
	box := sandboxtest.Start(t)
	m := mailer(t, box.MailURL())
	const ok, refused, later = "ok", "refused", "later"
	for _, c := range []struct {
		to       string
		outcomes []string
		statuses []string
	}{
		{"ann@x.example", []string{ok, ok}, []string{"succeeded", "replayed"}},
		{"bounce@x.example", []string{refused, refused}, []string{"declined", "declined"}},
		{"bounce+17@x.example", []string{refused}, []string{"declined"}},
		{"bounced@x.example", []string{ok}, []string{"succeeded"}},
		{"flaky@x.example", []string{later, later, ok, ok}, []string{"failed", "failed", "succeeded", "replayed"}},
		{"slow@x.example", []string{ok}, []string{"succeeded"}},
	} {
		t.Run(c.to, func(t *testing.T) {
			t.Parallel()
			for i, want := range c.outcomes {
				err := m.Send(t.Context(), "key of "+c.to, Message{To: c.to, Subject: "s", Text: "secret text"})
				got := ok
				if errors.Is(err, ErrRefused) {
					got = refused
				} else if err != nil {
					got = later
				}
				if got != want {
					t.Errorf("attempt %d: %s (%v), want %s", i+1, got, err, want)
				}
				if err != nil && (strings.Contains(err.Error(), "x.example") || strings.Contains(err.Error(), "secret")) {
					t.Errorf("the error tells on the recipient: %v", err)
				}
			}
			var statuses []string
			for _, mail := range box.Mail() {
				if mail.To == c.to {
					statuses = append(statuses, mail.Status)
				}
			}
			if got, want := strings.Join(statuses, " "), strings.Join(c.statuses, " "); got != want {
				t.Errorf("listed %q, want %q", got, want)
			}
		})
	}
}

func TestSendErrors(t *testing.T) {
	t.Parallel()
	const quoting = " 5.1.1 <ann@secret.example> is unknown"
	for name, c := range map[string]struct {
		answers map[string]string
		want    error // nil: some other error
		ok      bool
	}{
		"recipient refused":           {answers: map[string]string{"RCPT": "550" + quoting}, want: ErrRefused},
		"recipient refused for now":   {answers: map[string]string{"RCPT": "450" + quoting}},
		"message refused":             {answers: map[string]string{".": "554" + quoting}, want: ErrRefused},
		"message refused for now":     {answers: map[string]string{".": "452" + quoting}},
		"sender refused":              {answers: map[string]string{"MAIL": "553" + quoting}, want: ErrRefused},
		"wants us to sign in":         {answers: map[string]string{"MAIL": "530" + quoting}},
		"out of order":                {answers: map[string]string{"DATA": "503" + quoting}},
		"no service":                  {answers: map[string]string{"": "554" + quoting}},
		"no hello":                    {answers: map[string]string{"EHLO": "550" + quoting, "HELO": "550" + quoting}},
		"connection lost":             {answers: map[string]string{"RCPT": "drop"}},
		"lost before the answer":      {answers: map[string]string{".": "drop"}},
		"lost after the answer":       {answers: map[string]string{"RSET": "drop"}, ok: true},
		"quits badly":                 {answers: map[string]string{"QUIT": "500" + quoting}, ok: true},
		"resets badly":                {answers: map[string]string{"RSET": "500" + quoting}, ok: true},
		"nonsense instead of answers": {answers: map[string]string{"RCPT": "<ann@secret.example>?"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serve(t, &fake{answers: c.answers})
			err := mailer(t, f.url).Send(t.Context(), "k", Message{To: "ann@secret.example", Text: "text"})
			switch {
			case c.ok && err != nil:
				t.Errorf("the message was taken: %v", err)
			case c.ok:
			case err == nil || c.want != nil && !errors.Is(err, c.want) || c.want == nil && errors.Is(err, ErrRefused):
				t.Errorf("got %v, want %v", err, c.want)
			case strings.Contains(err.Error(), "secret"):
				t.Errorf("the error tells on the recipient: %v", err)
			}
		})
	}
}

func TestSendAnInvalidAddress(t *testing.T) {
	t.Parallel()
	f := serve(t, &fake{})
	for _, to := range []string{
		"", "ann", "ann@", "Ann <ann@secret.example>", "<ann@secret.example>", "a@secret.example, b@secret.example",
		"ann@secret.example\r\nRCPT TO:<eve@secret.example>", "ann@secret.example>\r\nDATA",
	} {
		err := mailer(t, f.url).Send(t.Context(), "k", Message{To: to})
		if !errors.Is(err, ErrRefused) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", to, err)
		}
	}
}

func TestSendHeadersCannotBeInjected(t *testing.T) {
	t.Parallel()
	f := serve(t, &fake{})
	err := mailer(t, f.url).Send(t.Context(), "k\r\nBcc: key@evil.example", Message{
		To: "ann@example.org", Text: "text",
		Subject: "hi\r\nBcc: subject@evil.example\r\n\r\nbody\u2028\x00",
		Kind:    "kind\r\nBcc: kind@evil.example",
	})
	if err != nil {
		t.Fatal(err)
	}
	said := <-f.said
	headers, _, _ := strings.Cut(said, "\r\n\r\n")
	for line := range strings.SplitSeq(headers, "\r\n") {
		if strings.HasPrefix(strings.ToLower(line), "bcc") {
			t.Errorf("a header was injected: %s", line)
		}
	}
	if strings.Contains(said, "RCPT TO:<key@") || strings.Count(said, "RCPT TO") != 1 {
		t.Errorf("recipients were added:\n%s", said)
	}
}

func TestTheKeyIsTheMessageID(t *testing.T) {
	t.Parallel()
	id := func(key string) string {
		m, err := mailer(t, "smtp://127.0.0.1:25").message(key, Message{To: "ann@example.org"})
		if err != nil {
			t.Fatal(err)
		}
		return m.GetMessageID()
	}
	a, again, b := id("a"), id("a"), id("b")
	if a != again || a == b || !strings.HasSuffix(a, "@troupe.example>") {
		t.Errorf("Message-IDs %s, %s, %s", a, again, b)
	}
}

func TestSendEndsWithTheContext(t *testing.T) {
	t.Parallel()
	for _, hangAt := range []string{"", "EHLO", "RCPT", ".", "QUIT"} {
		t.Run("hanging at "+hangAt, func(t *testing.T) {
			t.Parallel()
			f := serve(t, &fake{answers: map[string]string{hangAt: "hang"}})
			m := mailer(t, f.url)
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			err := m.Send(ctx, "k", Message{To: "ann@example.org"})
			if hangAt == "QUIT" {
				if err != nil {
					t.Errorf("the message was taken: %v", err)
				}
			} else if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the caller's deadline: %v", err)
			}

			m.timeout = 50 * time.Millisecond
			err = m.Send(t.Context(), "k", Message{To: "ann@example.org"})
			if hangAt != "QUIT" && (err == nil || !strings.Contains(err.Error(), "no answer within 50ms")) {
				t.Errorf("the timeout of its own: %v", err)
			}
		})
	}
}

func TestASlowMessageHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	box := sandboxtest.Start(t, func(o *sandbox.Options) { o.Timing.SlowMail = time.Hour })
	m := mailer(t, box.MailURL())
	ctx, cancel := context.WithCancel(t.Context())
	slow := make(chan error, 1)
	go func() { slow <- m.Send(ctx, "slow", Message{To: "slow@example.org"}) }()
	for i := range 3 {
		if err := m.Send(t.Context(), "quick"+string(rune('0'+i)), Message{To: "ann@example.org"}); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-slow:
		t.Fatalf("the slow one was over: %v", err)
	default:
	}
	cancel()
	if err := <-slow; !errors.Is(err, context.Canceled) {
		t.Errorf("the slow one: %v", err)
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	t.Run("on the loopback interface", func(t *testing.T) {
		t.Parallel()
		for _, mechanism := range []string{"PLAIN", "LOGIN PLAIN"} {
			f := serve(t, &fake{hello: []string{"AUTH " + mechanism}})
			m := mailer(t, strings.Replace(f.url, "smtp://", "smtp://me:pass@", 1))
			if err := m.Send(t.Context(), "k", Message{To: "ann@example.org"}); err != nil {
				t.Fatal(err)
			}
			if said := <-f.said; !strings.Contains(said, "AUTH PLAIN AG1lAHBhc3M=") {
				t.Errorf("did not sign in:\n%s", said)
			}
		}
	})
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		f := serve(t, &fake{hello: []string{"AUTH PLAIN"}, answers: map[string]string{"AUTH": "535 no such me:pass"}})
		err := mailer(t, strings.Replace(f.url, "smtp://", "smtp://me:pass@", 1)).Send(t.Context(), "k", Message{To: "ann@example.org"})
		if err == nil || errors.Is(err, ErrRefused) || strings.Contains(err.Error(), "pass") {
			t.Errorf("got %v", err)
		}
	})
	for name, c := range map[string]struct {
		tls, loopback, sent bool
	}{
		"in clear over the net":  {},
		"in clear on loopback":   {loopback: true, sent: true},
		"encrypted over the net": {tls: true, sent: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &auth{dialer: &dialer{smtp: &SMTP{host: "h", user: "me", password: "pass"}, loopback: c.loopback}}
			_, said, err := a.Start(&smtp.ServerInfo{Name: "h", TLS: c.tls, Auth: []string{"PLAIN"}})
			if (err == nil) != c.sent || (len(said) > 0) != c.sent {
				t.Errorf("sent %q, %v", said, err)
			}
		})
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mode   string
		offers bool
		says   string // where the conversation ends
	}{
		{"", false, "QUIT"},
		{"", true, "STARTTLS"}, // and fails: the fake cannot go on
		{"?tls=none", true, "QUIT"},
		{"?tls=starttls", false, "EHLO"},
		{"?tls=starttls", true, "STARTTLS"},
	} {
		f := &fake{answers: map[string]string{"STARTTLS": "drop"}}
		if c.offers {
			f.hello = []string{"STARTTLS"}
		}
		serve(t, f)
		err := mailer(t, f.url+c.mode).Send(t.Context(), "k", Message{To: "ann@example.org"})
		lines := strings.Split(strings.TrimSpace(<-f.said), "\r\n")
		if last := lines[len(lines)-1]; !strings.HasPrefix(last, c.says) || (err == nil) != (c.says == "QUIT") {
			t.Errorf("%q, offered %v: ended at %q with %v", c.mode, c.offers, last, err)
		}
	}
}

func TestNewSMTP(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"", "smtp://", "smtp://host", "smtp://host:0", "smtp://host:99999", "http://host:25", "smtp://me:pass@host:25/path",
		"smtp://host:25?tls=maybe", "smtp://me:pass@ho st:25", "host:25",
	} {
		if _, err := NewSMTP(url, "a@b.example"); err == nil || strings.Contains(err.Error(), "pass@") {
			t.Errorf("%q: %v", url, err)
		}
	}
	if _, err := NewSMTP("smtp://host:25", "nobody"); err == nil {
		t.Error("took a sender without a domain")
	}
}

func TestAnUnreachableServer(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	err = mailer(t, "smtp://"+listener.Addr().String()).Send(t.Context(), "k", Message{To: "ann@example.org"})
	if err == nil || errors.Is(err, ErrRefused) || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
