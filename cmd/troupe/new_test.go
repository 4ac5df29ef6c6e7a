package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What `troupe new consumer` writes compiles with the rest at once, its test
// too, and says in words what the author has to decide.
func TestNewConsumerCompiles(t *testing.T) {
	files, err := newConsumer(ourFlow(t), repository, "thank-author", "posts.PostPublished", "blog")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(files["handlers/blog/thank_author.go"]), "nobody has decided yet") || files["handlers/blog/thank_author_test.go"] == nil {
		t.Errorf("the files are %v", files)
	}
	if !strings.Contains(string(files[flowFile]), `choreo.On("thank-author", blog.ThankAuthor).Within(5*time.Second),`) {
		t.Errorf("the flow has no line of it:\n%s", files[flowFile])
	}
	vet(t, files, "./handlers", "./handlers/blog")
}

func TestNewFactCompiles(t *testing.T) {
	files, err := newFact(ourFlow(t), repository, "posts.AuthorThanked")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(files["events/posts.go"]), `"posts.AuthorThanked.v1"`) ||
		!strings.Contains(string(files[flowFile]), "choreo.Final(events.AuthorThanked{}, choreo.Completed),") {
		t.Errorf("the files are %v", files)
	}
	delete(files, flowFile) // compiling that means compiling everything
	vet(t, files, "./events")

	files, err = newFact(ourFlow(t), repository, "gift-cards.GiftCardSold")
	if err != nil || !strings.Contains(string(files["events/gift-cards.go"])+string(files["events/gift_cards.go"]), "GiftCardID string `json:\"giftCardId\"`") {
		t.Errorf("a topic of its own: %v %v", err, files)
	}
	delete(files, flowFile)
	vet(t, files, "./events")
}

// vet compiles packages and their tests as if the files were there.
func vet(t *testing.T, files map[string][]byte, packages ...string) {
	t.Helper()
	top, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	overlay := map[string]map[string]string{"Replace": {}}
	for path, body := range files {
		at := filepath.Join(dir, strings.ReplaceAll(path, "/", "_"))
		write(t, at, body)
		overlay["Replace"][filepath.Join(top, path)] = at
	}
	body, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(dir, "overlay.json")
	write(t, at, body)
	cmd := exec.Command("go", append([]string{"vet", "-overlay", at}, packages...)...)
	cmd.Dir, cmd.Env = top, os.Environ()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestNewRefusesWhatCannotBe(t *testing.T) {
	flow := ourFlow(t)
	for _, c := range []struct{ name, on, in, says string }{
		{"ThankBuyer", "orders.OrderConfirmed", "", "is no name of a consumer"},
		{"confirm-order", "orders.OrderConfirmed", "", "already"},
		{"place-order", "orders.OrderConfirmed", "", "already"},
		{"thank-buyer", "orders.Nothing", "", "is no fact of the flow"},
		{"thank-author", "posts.PostPublished", "", "--in"},
	} {
		_, err := newConsumer(flow, repository, c.name, c.on, c.in)
		if _, usage := errors.AsType[usageError](err); !usage || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for name, says := range map[string]string{"orders": "no name of a fact", "orders.shipped": "no name of a fact", "orders.OrderShipped": "already"} {
		_, err := newFact(flow, repository, name)
		if _, usage := errors.AsType[usageError](err); !usage || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
