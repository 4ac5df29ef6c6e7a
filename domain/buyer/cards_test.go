package buyer

import (
	"bytes"
	"testing"
)

func TestCards(t *testing.T) {
	t.Parallel()
	c, err := newCards(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	sealed := c.seal("ana", "method", "tok_visa")
	if bytes.Contains(sealed, []byte("tok_visa")) {
		t.Error("the token stands in the clear")
	}
	if token, err := c.open("ana", "method", sealed); err != nil || token != "tok_visa" {
		t.Errorf("opened %q, %v", token, err)
	}
	other, _ := newCards(bytes.Repeat([]byte{2}, 32))
	flipped := bytes.Clone(sealed)
	flipped[len(flipped)-1] ^= 1
	for name, open := range map[string]func() (string, error){
		"in another account's row": func() (string, error) { return c.open("bob", "method", sealed) },
		"in another method's row":  func() (string, error) { return c.open("ana", "other", sealed) },
		"under another key":        func() (string, error) { return other.open("ana", "method", sealed) },
		"changed":                  func() (string, error) { return c.open("ana", "method", flipped) },
		"cut":                      func() (string, error) { return c.open("ana", "method", sealed[:5]) },
		"empty":                    func() (string, error) { return c.open("ana", "method", nil) },
	} {
		if token, err := open(); err == nil {
			t.Errorf("%s: opens as %q", name, token)
		}
	}
	const nonce = 12
	for _, another := range [][]byte{c.seal("bob", "method", "tok_visa"), c.seal("ana", "other", "tok_visa"), c.seal("ana", "method", "tok_amex")} {
		if bytes.Equal(sealed[:nonce], another[:nonce]) {
			t.Error("one nonce for two things")
		}
	}
	if bytes.Equal(c.fingerprint("ana", "tok_visa"), c.fingerprint("bob", "tok_visa")) {
		t.Error("the fingerprint tells that two people have one card")
	}
	if !bytes.Equal(c.fingerprint("ana", "tok_visa"), c.fingerprint("ana", "tok_visa")) {
		t.Error("one card has two fingerprints")
	}
}

func TestCardKeyLength(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 16, 31, 33} {
		if _, err := newCards(make([]byte, n)); err == nil {
			t.Errorf("a key of %d bytes is taken", n)
		}
	}
}
