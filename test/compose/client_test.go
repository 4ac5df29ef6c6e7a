//go:build compose

package compose

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"
)

var client = &http.Client{Timeout: 20 * time.Second}

// answer is what came of a request.
type answer struct {
	what   string
	status int
	header http.Header
	body   []byte
}

// saga is the saga that goes on behind the command.
func (a answer) saga() string { return a.header.Get("Troupe-Saga") }

// into checks the status and reads the body.
func (a answer) into(t *testing.T, status int, body any) answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("%s: %d, want %d: %s", a.what, a.status, status, a.body)
	}
	if body == nil {
		return a
	}
	if err := json.Unmarshal(a.body, body); err != nil {
		t.Fatalf("%s: %v: %s", a.what, err, a.body)
	}
	return a
}

// call makes a request with a JSON body, or one that is given as a reader.
func call(t *testing.T, token, method, url string, body any) answer {
	t.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return send(t, token, method, url, "application/json", bytes.NewReader(encoded))
}

func send(t *testing.T, token, method, url, contentType string, body io.Reader) answer {
	t.Helper()
	if method == http.MethodGet {
		body = nil
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", contentType)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	read, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{method + " " + url, res.StatusCode, res.Header, read}
}

// person is a client who has signed up and signed in.
type person struct {
	id, email, token string
	signUp           answer
}

func signUp(t *testing.T) *person {
	t.Helper()
	p := &person{email: strings.ToLower("ana-" + rand.Text() + "@example.com")}
	const password = "correct horse"
	var account struct{ AccountID string }
	p.signUp = call(t, "", "POST", sys.url+"/accounts", map[string]string{"email": p.email, "password": password, "name": "Ana"}).
		into(t, 201, &account)
	p.id = account.AccountID
	var session struct{ Token string }
	call(t, "", "POST", sys.url+"/sessions", map[string]string{"email": p.email, "password": password}).into(t, 201, &session)
	p.token = session.Token
	return p
}

func (p *person) call(t *testing.T, method, path string, body any) answer {
	t.Helper()
	return call(t, p.token, method, sys.url+path, body)
}

// picture is a PNG that no other is like.
func picture(t *testing.T) []byte {
	t.Helper()
	var pixel [3]byte
	_, _ = rand.Read(pixel[:])
	img := image.NewRGBA(image.Rect(0, 0, 16, 16))
	for i := range 16 {
		img.Set(i, i, color.RGBA{pixel[0], pixel[1], pixel[2], 255})
	}
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// upload gives the temporary URL.
func (p *person) upload(t *testing.T, name string, content []byte) string {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", name)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = part.Write(content)
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	var file struct{ URL, MimeType string }
	send(t, p.token, "POST", sys.url+"/attachments", form.FormDataContentType(), &body).into(t, 201, &file)
	if file.MimeType != "image/png" {
		t.Errorf("%s is taken for %s", name, file.MimeType)
	}
	return file.URL
}

type post struct {
	PostID, State, Reason string
	Tags                  []string
	Contents              []struct{ Src string }
	Attachments           []struct{ URL string }
}

// write posts with these tags and files, and gives the saga.
func (p *person) write(t *testing.T, tags, files []string) (post, string) {
	t.Helper()
	contents := []map[string]string{{"type": "text", "text": "hello"}}
	for _, url := range files {
		contents = append(contents, map[string]string{"type": "image", "src": url})
	}
	var made post
	a := p.call(t, "POST", "/posts", map[string]any{"title": "A post", "contents": contents, "tagNames": tags, "fileUrls": files}).
		into(t, 201, &made)
	return made, a.saga()
}

func read(t *testing.T, postID string) (got post) {
	t.Helper()
	call(t, "", "GET", sys.url+"/posts/"+postID, nil).into(t, 200, &got)
	return got
}

type money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

type order struct {
	OrderID, State, RefundStatus string
	Total, Captured, Refunded    money

	saga string
}

// order places an order of 2 × 12.50 EUR.
func (p *person) order(t *testing.T, card string) (o order) {
	t.Helper()
	o.saga = p.call(t, "POST", "/orders", map[string]any{
		"lines":        []map[string]any{{"sku": "mug", "quantity": 2, "unitPrice": money{1250, "EUR"}}},
		"cardToken":    card,
		"shippingInfo": map[string]string{"name": "Ana", "street": "1 Main St", "city": "Ghent", "postalCode": "9000", "country": "BE"},
	}).into(t, 202, &o).saga()
	return o
}

// becomes waits until the order is in these states.
func (p *person) becomes(t *testing.T, o order, state, refundStatus string) (got order) {
	t.Helper()
	eventually(t, "the order becomes "+state, func() error {
		p.call(t, "GET", "/orders/"+o.OrderID, nil).into(t, 200, &got)
		if got.State != state || got.RefundStatus != refundStatus {
			return fmt.Errorf("it is %s, refund %s", got.State, got.RefundStatus)
		}
		return nil
	})
	return got
}
