package order

import (
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"troupe/choreo"
	"troupe/events"
)

func line(sku string, quantity int, amount int64, currency string) events.OrderLine {
	return events.OrderLine{SKU: sku, Quantity: quantity, UnitPrice: events.Money{Amount: amount, Currency: currency}}
}

var home = Shipping{Name: "Ana", Street: "1 Road", City: "Town", PostalCode: "12345", Country: "DE"}

func TestPlaceComputesTheTotal(t *testing.T) {
	t.Parallel()
	most := slices.Repeat([]events.OrderLine{line("pen", 1, MaxAmount/MaxLines, "EUR")}, MaxLines)
	for name, c := range map[string]struct {
		lines []events.OrderLine
		total int64
	}{
		"one piece":      {[]events.OrderLine{line("pen", 1, 250, "EUR")}, 250},
		"several lines":  {[]events.OrderLine{line("pen", 3, 250, "EUR"), line("ink", 2, 1999, "EUR")}, 4748},
		"a gift":         {[]events.OrderLine{line("pen", 1, 0, "EUR")}, 0},
		"999 pieces":     {[]events.OrderLine{line("pen", 999, 100, "EUR")}, 99900},
		"the most lines": {most, MaxAmount / MaxLines * MaxLines},
		"the most money": {[]events.OrderLine{line("pen", 1, MaxAmount, "EUR")}, MaxAmount},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := Place("o", "a", c.lines, "tok_visa", home)
			if err != nil {
				t.Fatal(err)
			}
			total := events.Money{Amount: c.total, Currency: "EUR"}
			if o.Total != total || o.State() != Submitted || o.Refund() != RefundNone {
				t.Errorf("%v %s %s, want %v submitted none", o.Total, o.State(), o.Refund(), total)
			}
			want := events.OrderStarted{OrderID: "o", AccountID: "a", CardToken: "tok_visa", Lines: c.lines, Total: total, ShippingVersion: 1}
			if !reflect.DeepEqual(o.raised, []choreo.Fact{want}) {
				t.Errorf("raised %v", o.raised)
			}
		})
	}
}

func TestPlaceRefuses(t *testing.T) {
	t.Parallel()
	pen := line("pen", 1, 250, "EUR")
	with := func(change func(*Shipping)) Shipping { s := home; change(&s); return s }
	for name, c := range map[string]struct {
		lines []events.OrderLine
		card  string
		to    Shipping
		at    []string
	}{
		"no line":            {nil, "tok", home, []string{"lines"}},
		"too many lines":     {slices.Repeat([]events.OrderLine{pen}, MaxLines+1), "tok", home, []string{"lines"}},
		"nothing of it":      {[]events.OrderLine{line("pen", 0, 250, "EUR")}, "tok", home, []string{"lines[0].quantity"}},
		"less than nothing":  {[]events.OrderLine{pen, line("pen", -1, 250, "EUR")}, "tok", home, []string{"lines[1].quantity"}},
		"too much of it":     {[]events.OrderLine{line("pen", 1000, 250, "EUR")}, "tok", home, []string{"lines[0].quantity"}},
		"a negative price":   {[]events.OrderLine{line("pen", 1, -1, "EUR")}, "tok", home, []string{"lines[0].unitPrice.amount"}},
		"a price too high":   {[]events.OrderLine{line("pen", 1, MaxAmount+1, "EUR")}, "tok", home, []string{"lines[0].unitPrice.amount"}},
		"the highest price":  {[]events.OrderLine{line("pen", 999, math.MaxInt64, "EUR")}, "tok", home, []string{"lines[0].unitPrice.amount"}},
		"a total too high":   {[]events.OrderLine{line("pen", 2, MaxAmount, "EUR")}, "tok", home, []string{"lines"}},
		"the most there is":  {slices.Repeat([]events.OrderLine{line("pen", MaxQuantity, MaxAmount, "EUR")}, MaxLines), "tok", home, []string{"lines"}},
		"two currencies":     {[]events.OrderLine{pen, line("ink", 1, 1, "USD")}, "tok", home, []string{"lines[1].unitPrice.currency"}},
		"small letters":      {[]events.OrderLine{line("pen", 1, 1, "eur")}, "tok", home, []string{"lines[0].unitPrice.currency"}},
		"a long currency":    {[]events.OrderLine{line("pen", 1, 1, "EURO")}, "tok", home, []string{"lines[0].unitPrice.currency"}},
		"no currency":        {[]events.OrderLine{line("pen", 1, 1, "")}, "tok", home, []string{"lines[0].unitPrice.currency"}},
		"no sku":             {[]events.OrderLine{line(" ", 1, 1, "EUR")}, "tok", home, []string{"lines[0].sku"}},
		"a long sku":         {[]events.OrderLine{line(strings.Repeat("é", 101), 1, 1, "EUR")}, "tok", home, []string{"lines[0].sku"}},
		"NUL in the sku":     {[]events.OrderLine{line("p\x00n", 1, 1, "EUR")}, "tok", home, []string{"lines[0].sku"}},
		"broken UTF-8":       {[]events.OrderLine{line("p\xffn", 1, 1, "EUR")}, "tok", home, []string{"lines[0].sku"}},
		"no card":            {[]events.OrderLine{pen}, "", home, []string{"cardToken"}},
		"a long card":        {[]events.OrderLine{pen}, strings.Repeat("t", 256), home, []string{"cardToken"}},
		"no name":            {[]events.OrderLine{pen}, "tok", with(func(s *Shipping) { s.Name = "" }), []string{"shippingInfo.name"}},
		"a long street":      {[]events.OrderLine{pen}, "tok", with(func(s *Shipping) { s.Street = strings.Repeat("x", 201) }), []string{"shippingInfo.street"}},
		"lines in the city":  {[]events.OrderLine{pen}, "tok", with(func(s *Shipping) { s.City = "A\nB" }), []string{"shippingInfo.city"}},
		"no postal code":     {[]events.OrderLine{pen}, "tok", with(func(s *Shipping) { s.PostalCode = "\t" }), []string{"shippingInfo.postalCode"}},
		"no country":         {[]events.OrderLine{pen}, "tok", with(func(s *Shipping) { s.Country = "" }), []string{"shippingInfo.country"}},
		"everything at once": {[]events.OrderLine{line("", 0, -1, "")}, "", home, []string{"cardToken", "lines[0].sku", "lines[0].quantity", "lines[0].unitPrice.amount", "lines[0].unitPrice.currency"}},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := Place("o", "a", c.lines, c.card, c.to)
			if err == nil {
				t.Fatalf("placed: %+v", o)
			}
			var at []string
			for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
				field, ok := errors.AsType[FieldError](e)
				if !ok || field.Error() == "" {
					t.Errorf("%v says nothing of a field", e)
				}
				at = append(at, field.Field())
			}
			if !slices.Equal(at, c.at) {
				t.Errorf("at %v, want %v", at, c.at)
			}
		})
	}
}
