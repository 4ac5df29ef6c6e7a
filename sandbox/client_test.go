package sandbox_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/smtp"
	"net/url"
	"strings"
	"testing"

	"troupe/sandbox/sandboxtest"
)

// reply is what the payment provider answered.
type reply struct {
	status int
	header http.Header
	ID     string
	Status string
	Data   []struct{ ID string }
	Error  struct{ Type, Code, Param, Message string }
}

// stripe calls the payment provider as any HTTP client would.
func stripe(t *testing.T, base, method, path, key string, form url.Values) (reply, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, base+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.GetBody = nil // one attempt is one request
	r.Header.Set("Authorization", "Bearer "+sandboxtest.PaymentKey)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer answer.Body.Close()
	got := reply{status: answer.StatusCode, header: answer.Header}
	if err := json.NewDecoder(answer.Body).Decode(&got); err != nil {
		t.Errorf("%s %s: %v", method, path, err)
	}
	return got, nil
}

func mustStripe(t *testing.T, base, method, path, key string, form url.Values) reply {
	t.Helper()
	got, err := stripe(t, base, method, path, key, form)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func create(t *testing.T, base, key string) string {
	t.Helper()
	return mustStripe(t, base, "POST", "/v1/payment_intents", key, url.Values{
		"amount": {"500"}, "currency": {"eur"}, "metadata[key]": {key}, "metadata[reference]": {key},
	}).ID
}

func withCard(token string) url.Values {
	return url.Values{"payment_method_data[type]": {"card"}, "payment_method_data[card][token]": {token}}
}

// get reads a path as somebody with this Authorization.
func get(t *testing.T, base, path, authorization string) (status int, contentType, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, answer.Header.Get("Content-Type"), strings.TrimSpace(string(all))
}

// send mails to several people at once, as the standard library does.
func send(box *sandboxtest.Sandbox, messageID, text string, to ...string) error {
	mail := "Message-ID: <" + messageID + ">\r\nSubject: s\r\n\r\n" + text
	return smtp.SendMail(box.SMTPAddr(), nil, "from@example.org", to, []byte(mail))
}
