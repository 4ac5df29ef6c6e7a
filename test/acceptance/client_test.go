package acceptance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// Markers are planted in what must never leave its table, and looked for
// everywhere else.
const (
	password   = "pw-marker-4711"
	cardMarker = "tok_marker_4711"
)

// answer is what a request came to.
type answer struct {
	status int
	header http.Header
	body   []byte
	took   time.Duration
}

func (a *answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

// as reads the body.
func as[T any](t *testing.T, a *answer) T {
	t.Helper()
	var out T
	if err := json.Unmarshal(a.body, &out); err != nil {
		t.Fatalf("reading %s: %v", a, err)
	}
	return out
}

var httpClient = &http.Client{Timeout: 30 * time.Second}

// try makes a request; its body is sent as JSON unless it is a string or bytes.
func (s *system) try(method, path, bearer string, body any) (*answer, error) {
	var raw []byte
	switch b := body.(type) {
	case nil:
	case string:
		raw = []byte(b)
	case []byte:
		raw = b
	default:
		var err error
		if raw, err = json.Marshal(b); err != nil {
			return nil, err
		}
	}
	return s.send(method, path, bearer, "application/json", raw)
}

func (s *system) send(method, path, bearer, contentType string, body []byte) (*answer, error) {
	req, err := http.NewRequest(method, "http://"+s.http+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", contentType)
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	began := time.Now()
	res, err := httpClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	return &answer{res.StatusCode, res.Header, out, time.Since(began)}, err
}

// call makes a request that must be answered with the status. A view that says
// that it is behind is asked again.
func (s *system) call(t *testing.T, want int, method, path, bearer string, body any) *answer {
	t.Helper()
	a, err := s.try(method, path, bearer, body)
	for again := 0; err == nil && method == http.MethodGet && want == http.StatusOK && a.status == http.StatusAccepted && again < 20; again++ {
		a, err = s.try(method, path, bearer, body)
	}
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if a.status != want {
		t.Fatalf("%s %s answers %s; want %d", method, path, a, want)
	}
	s.note(t, a.header.Get("Troupe-Saga"))
	if event := a.header.Get("Troupe-Event"); event != "" {
		s.note(t, event)
		s.see(t, event)
	}
	return a
}

// get reads something as staff.
func get[T any](t *testing.T, s *system, path string) T {
	t.Helper()
	return as[T](t, s.call(t, http.StatusOK, http.MethodGet, path, staff, nil))
}

// read reads something from a view that has passed what the test has seen.
func read[T any](t *testing.T, s *system, path string) (out T) {
	t.Helper()
	for _, event := range append(s.seen(t), "") {
		query := ""
		if event != "" {
			query = "?seen=" + event
		}
		eventually(t, 30*time.Second, func() error {
			a, err := s.try(http.MethodGet, path+query, staff, nil)
			if err != nil || a.status != http.StatusOK {
				return fmt.Errorf("GET %s answers %v (%w)", path+query, a, err)
			}
			out = as[T](t, a)
			return nil
		})
	}
	return out
}

// see remembers the events that a test knows of, by its name.
func (s *system) see(t *testing.T, events ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known = map[string][]string{}
	}
	s.known[t.Name()] = events
}

func (s *system) seen(t *testing.T) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.known[t.Name()])
}

type person struct {
	id, email, token, saga string
	took                   time.Duration // of the sign-up
	at                     time.Time     // when it was answered
}

// email is an address of this system's own domain; the local part says how mail
// to it fails, so what makes it one of many stands in the domain.
func (s *system) email(local string) string { return local + "@" + token() + "." + s.tag + ".example" }

// signUp makes an account with a mailbox of that kind.
func (s *system) signUp(t *testing.T, local string) person {
	t.Helper()
	p := person{email: s.email(local)}
	a := s.call(t, http.StatusCreated, http.MethodPost, "/accounts", "", map[string]string{
		"email": p.email, "password": password, "name": "Marker Name",
	})
	p.id, p.saga, p.took, p.at = as[accountBody](t, a).AccountID, a.header.Get("Troupe-Saga"), a.took, time.Now()
	return p
}

// join signs somebody up and in.
func (s *system) join(t *testing.T, local string) person {
	t.Helper()
	p := s.signUp(t, local)
	p.token = as[struct{ Token string }](t, s.call(t, http.StatusCreated, http.MethodPost, "/sessions", "",
		map[string]string{"email": p.email, "password": password})).Token
	return p
}

type accountBody struct {
	AccountID, Email, Name, State, Mail string
}

type money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

type orderBody struct {
	OrderID, State, RefundStatus string
	Total, Captured, Refunded    money
}

type postBody struct {
	PostID, State, Reason string
	Contents              []map[string]any
	Tags                  []string
	Attachments           []struct{ AttachmentID, URL string }
}

type sagaBody struct {
	SagaID, Status, Outcome, StartedBy string
	Steps                              []struct{ Event, EventID, CausedBy, Consumer string }
	Expected                           []struct{ Consumer, On string }
	Owed                               []struct{ Undo, Of, Reason string }
}

// has counts the facts of the type, without its version.
func (s sagaBody) has(fact string) (n int) {
	for _, step := range s.Steps {
		if step.Event == fact+".v1" {
			n++
		}
	}
	return n
}

type mailItem struct {
	To, Subject, Text, Kind, Status string
	At                              time.Time
}

type paymentItem struct {
	Kind, Key, Reference, Status string
	Amount                       int64
}

// mails lists what came for the address, of the kind and with the status;
// empty: any.
func (s *system) mails(t *testing.T, to, kind, status string) (list []mailItem) {
	t.Helper()
	for _, m := range get[struct{ Items []mailItem }](t, s, "/sandbox/mail").Items {
		if m.To == to && (kind == "" || m.Kind == kind) && (status == "" || m.Status == status) {
			list = append(list, m)
		}
	}
	return list
}

// account is what the payment provider did for one order or rental.
type account struct {
	charges, refunds int
	kept             int64
}

// isGivenBack tells whether nothing was taken, or was given back, once.
func (a account) isGivenBack() bool { return a.kept == 0 && a.charges <= 1 && a.refunds == a.charges }

// ledger is what the payment provider did, by order or rental.
func (s *system) ledger(t *testing.T) map[string]account {
	t.Helper()
	all := map[string]account{}
	for _, p := range get[struct{ Items []paymentItem }](t, s, "/sandbox/payments").Items {
		if p.Status != "succeeded" {
			continue
		}
		a := all[p.Reference]
		switch p.Kind {
		case "charge":
			a.charges, a.kept = a.charges+1, a.kept+p.Amount
		case "refund":
			a.refunds, a.kept = a.refunds+1, a.kept-p.Amount
		}
		all[p.Reference] = a
	}
	return all
}

// payments counts what was done for an order.
func (s *system) payments(t *testing.T, orderID string) (charges, refunds int, kept int64) {
	t.Helper()
	a := s.ledger(t)[orderID]
	return a.charges, a.refunds, a.kept
}

// settled waits until nothing more is expected in the saga.
func (s *system) settled(t *testing.T, saga string) sagaBody {
	t.Helper()
	var g sagaBody
	eventually(t, 40*time.Second, func() error {
		if g = get[sagaBody](t, s, "/sagas/"+saga); g.Status != "settled" {
			return fmt.Errorf("saga %s is %s and expects %+v, after %+v", saga, g.Status, g.Expected, g.Steps)
		}
		return nil
	})
	var events []string
	for _, step := range g.Steps {
		// A forged copy of what was taken long ago is dropped as a copy: no view passes it.
		if !strings.HasPrefix(step.EventID, "forged-") {
			events = append(events, step.EventID)
		}
	}
	s.see(t, events...)
	return g
}

// place places an order and gives its id and saga.
func (s *system) place(t *testing.T, buyer person, card string) (id, saga string) {
	t.Helper()
	a := s.call(t, http.StatusAccepted, http.MethodPost, "/orders", buyer.token, orderRequest(card))
	return as[orderBody](t, a).OrderID, a.header.Get("Troupe-Saga")
}

func orderRequest(card string) map[string]any {
	return map[string]any{
		"lines": []any{
			map[string]any{"sku": "ticket", "quantity": 2, "unitPrice": money{1250, "EUR"}},
			map[string]any{"sku": "programme", "quantity": 1, "unitPrice": money{400, "EUR"}},
		},
		"cardToken": card,
		"shippingInfo": map[string]string{
			"name": "Marker Name", "street": "Marker Street 1", "city": "Town", "postalCode": "12345", "country": "DE",
		},
	}
}

const orderTotal = 2900

func (s *system) order(t *testing.T, id string) orderBody {
	t.Helper()
	return read[orderBody](t, s, "/orders/"+id)
}

func (s *system) cancel(t *testing.T, buyer person, id string) *answer {
	t.Helper()
	return s.call(t, http.StatusAccepted, http.MethodPost, "/orders/"+id+"/cancellation", buyer.token, nil)
}

// confirmed waits until an order is paid.
func (s *system) confirmed(t *testing.T, id string) {
	t.Helper()
	eventually(t, 30*time.Second, func() error {
		if o := s.order(t, id); o.State != "confirmed" {
			return fmt.Errorf("order %s is %s; want confirmed", id, o.State)
		}
		return nil
	})
}

// upload uploads a picture under a name, and gives its URL.
func (s *system) upload(t *testing.T, author person, name string, file []byte) (url string) {
	t.Helper()
	a, err := s.tryUpload(author.token, "file", name, file)
	if err != nil || a.status != http.StatusCreated {
		t.Fatalf("uploading %s: %v, %v", name, a, err)
	}
	s.note(t, a.header.Get("Troupe-Event"))
	return as[struct{ URL string }](t, a).URL
}

func (s *system) tryUpload(bearer, field, name string, file []byte) (*answer, error) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile(field, name)
	if err != nil {
		return nil, err
	}
	if _, err := part.Write(file); err != nil {
		return nil, err
	}
	if err := form.Close(); err != nil {
		return nil, err
	}
	return s.send(http.MethodPost, "/attachments", bearer, form.FormDataContentType(), body.Bytes())
}

// write posts and gives the post's id and saga.
func (s *system) write(t *testing.T, author person, tags []string, urls ...string) (id, saga string) {
	t.Helper()
	a := s.call(t, http.StatusCreated, http.MethodPost, "/posts", author.token, postRequest(tags, urls))
	return as[postBody](t, a).PostID, a.header.Get("Troupe-Saga")
}

func postRequest(tags, urls []string) map[string]any {
	contents := []map[string]string{{"type": "text", "text": "See " + strings.Join(urls, " and ")}}
	for _, u := range urls {
		contents = append(contents, map[string]string{"type": "image", "url": u})
	}
	return map[string]any{
		"title": "A post", "contents": contents,
		"tagNames": append([]string{}, tags...), "fileUrls": append([]string{}, urls...),
	}
}

// picture is a real PNG; each size is another file.
func picture(size int) []byte {
	var out bytes.Buffer
	_ = png.Encode(&out, image.NewGray(image.Rect(0, 0, size, size))) // a buffer takes everything
	return out.Bytes()
}
