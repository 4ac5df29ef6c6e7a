// Package events says what happened: immutable facts in the past tense, one
// file per aggregate. A fact knows its type, its key and whether it is whole;
// it has no other behaviour. No fact holds an e-mail address, a name, a phone
// number, a postal address, a password, a token or a card: facts carry ids.
//
// The record key of a fact is its first field. A type reads
// topic.Fact.version; the topic is what stands before the first dot.
package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Money is an amount in minor units (cents) of an ISO 4217 currency.
type Money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// ids checks that every id, given as name and value in turn, is there.
func ids(pairs ...string) error {
	var errs []error
	for pair := range slices.Chunk(pairs, 2) {
		switch n := len(pair[1]); {
		case n == 0:
			errs = append(errs, fmt.Errorf("%s is missing", pair[0]))
		case n > 255:
			errs = append(errs, fmt.Errorf("%s is longer than 255 bytes", pair[0]))
		}
	}
	return errors.Join(errs...)
}

// renamed upcasts data in which a field has got another name.
func renamed(from, to string) func([]byte) ([]byte, error) {
	return func(data []byte) ([]byte, error) {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(data, &fields); err != nil {
			return nil, err
		}
		if value, ok := fields[from]; ok {
			fields[to] = value
			delete(fields, from)
		}
		return json.Marshal(fields)
	}
}
