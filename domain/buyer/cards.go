package buyer

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
)

// cards encrypts card tokens with AES-256-GCM under the card key.
type cards struct {
	aead  cipher.AEAD
	macOf []byte // key of fingerprints and nonces, derived from the card key
}

func newCards(key []byte) (cards, error) {
	if len(key) != 32 {
		return cards{}, fmt.Errorf("the card key has %d bytes and needs 32: set TROUPE_CARD_KEY", len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return cards{}, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return cards{}, err
	}
	macOf, err := hkdf.Key(sha256.New, key, nil, "troupe payment methods: fingerprints and nonces", sha256.Size)
	return cards{aead, macOf}, err
}

// fingerprint tells the cards of one account apart. It says nothing about the
// same card of another account.
func (c cards) fingerprint(accountID, cardToken string) []byte {
	return c.mac("fingerprint", accountID, cardToken)
}

// seal encrypts a token for one row. The nonce is a keyed hash of all that is
// sealed, and so never the same for two different things (the construction of
// RFC 5297); that keeps the domain free of randomness of its own.
func (c cards) seal(accountID, paymentMethodID, cardToken string) []byte {
	nonce := c.mac("nonce", accountID, paymentMethodID, cardToken)[:c.aead.NonceSize()]
	return c.aead.Seal(nonce, nonce, []byte(cardToken), place(accountID, paymentMethodID))
}

func (c cards) open(accountID, paymentMethodID string, sealed []byte) (string, error) {
	n := c.aead.NonceSize()
	if len(sealed) < n {
		return "", errors.New("the row is cut short")
	}
	token, err := c.aead.Open(nil, sealed[:n], sealed[n:], place(accountID, paymentMethodID))
	return string(token), err
}

// place binds a sealed token to its row: moved to another, it does not open.
func place(accountID, paymentMethodID string) []byte {
	return fmt.Appendf(nil, "%q %q", accountID, paymentMethodID)
}

func (c cards) mac(what ...string) []byte {
	m := hmac.New(sha256.New, c.macOf)
	fmt.Fprintf(m, "%q", what)
	return m.Sum(nil)
}
