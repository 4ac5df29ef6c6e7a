package order

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"troupe/events"
)

// What an order may hold. Amounts are in minor units; the largest unit price
// and total have the 12 digits that card networks can carry.
const (
	MaxLines     = 1000
	MaxQuantity  = 999
	MaxAmount    = 999_999_999_999
	maxSKU       = 100
	maxCardToken = 255
	maxShipping  = 200 // of each field
)

// Shipping is where an order goes.
type Shipping struct {
	Name, Street, City, PostalCode, Country string
}

// FieldError is a field of a new order that breaks a rule. Its text says what
// to do, and never holds the value.
type FieldError struct {
	Name   string // its path, such as "lines[0].quantity"
	Reason string
}

func (e FieldError) Error() string { return e.Reason }

// Field is the path of the field in the command.
func (e FieldError) Field() string { return e.Name }

// currency is the shape of an ISO 4217 code.
var currency = regexp.MustCompile(`^[A-Z]{3}$`)

// validate computes the total of an order that keeps every rule. The error
// joins a FieldError for each field that breaks one.
func validate(lines []events.OrderLine, cardToken string, to Shipping) (events.Money, error) {
	if len(lines) == 0 || len(lines) > MaxLines {
		return events.Money{}, errors.Join(broken("lines", "give 1 to %d lines", MaxLines))
	}
	total := events.Money{Currency: lines[0].UnitPrice.Currency}
	errs := append(validShipping("shippingInfo.", to), ValidCard(cardToken))
	for i, l := range lines {
		errs = append(errs, validLine(fmt.Sprintf("lines[%d].", i), l, total.Currency)...)
	}
	if err := errors.Join(errs...); err != nil {
		return events.Money{}, err
	}
	for _, l := range lines {
		// Cannot overflow: MaxLines lines of MaxQuantity at MaxAmount stay below 2⁶⁰.
		total.Amount += int64(l.Quantity) * l.UnitPrice.Amount
	}
	if total.Amount > MaxAmount {
		return events.Money{}, errors.Join(broken("lines", "split the order: its total is above %d", int64(MaxAmount)))
	}
	return total, nil
}

// ValidCard is nil for what can be a card token, else a FieldError.
func ValidCard(token string) error { return validText("cardToken", token, maxCardToken) }

func validShipping(at string, to Shipping) []error {
	return []error{
		validText(at+"name", to.Name, maxShipping),
		validText(at+"street", to.Street, maxShipping),
		validText(at+"city", to.City, maxShipping),
		validText(at+"postalCode", to.PostalCode, maxShipping),
		validText(at+"country", to.Country, maxShipping),
	}
}

func validLine(at string, l events.OrderLine, inCurrency string) (errs []error) {
	errs = append(errs, validText(at+"sku", l.SKU, maxSKU))
	if l.Quantity < 1 || l.Quantity > MaxQuantity {
		errs = append(errs, broken(at+"quantity", "give a number from 1 to %d", MaxQuantity))
	}
	if l.UnitPrice.Amount < 0 || l.UnitPrice.Amount > MaxAmount {
		errs = append(errs, broken(at+"unitPrice.amount", "give minor units from 0 to %d", int64(MaxAmount)))
	}
	switch {
	case !currency.MatchString(l.UnitPrice.Currency):
		errs = append(errs, broken(at+"unitPrice.currency", "give a code of three capital letters (ISO 4217)"))
	case l.UnitPrice.Currency != inCurrency:
		errs = append(errs, broken(at+"unitPrice.currency", "give all lines in one currency"))
	}
	return errs
}

func validText(field, s string, most int) error {
	switch n := utf8.RuneCountInString(s); {
	case strings.TrimSpace(s) == "" || n > most:
		return broken(field, "give 1 to %d characters, not only spaces", most)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return broken(field, "leave out control characters")
	}
	return nil
}

func broken(field, format string, args ...any) error {
	return FieldError{field, fmt.Sprintf(format, args...)}
}
