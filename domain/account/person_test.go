package account_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"troupe/domain/account"
)

func TestNormalEmail(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"ana@example.com":                     "ana@example.com",
		" \tAna.Maria+Shop@Example.COM\n":     "ana.maria+shop@example.com",
		"jose\u0301@example.com":              "josé@example.com",
		"JOSÉ@example.com":                    "josé@example.com",
		"ana@bücher.example":                  "ana@xn--bcher-kva.example",
		"ana@BÜCHER.example":                  "ana@xn--bcher-kva.example",
		"ana@bu\u0308cher.example":            "ana@xn--bcher-kva.example",
		"ana@XN--bcher-kva.example":           "ana@xn--bcher-kva.example",
		"\u212Aim@example.com":                "kim@example.com", // the Kelvin sign
		"用户@例子.广告":                            "用户@xn--fsqu00a.xn--4rr70v",
		"a!#$%&'*+-/=?^_`{|}~b@example.com":   "a!#$%&'*+-/=?^_`{|}~b@example.com",
		strings.Repeat("a", 64) + "@mail.org": strings.Repeat("a", 64) + "@mail.org",

		"":                                       "",
		"ana":                                    "",
		"@example.com":                           "",
		"ana@":                                   "",
		"ana@localhost":                          "",
		"ana@[127.0.0.1]":                        "",
		"ana@127.0.0.1":                          "",
		"ana@-example.com":                       "",
		"ana@exam_ple.com":                       "",
		"ana@example..com":                       "",
		"ana@example.com.":                       "",
		"ana@xn--zz--zz.example":                 "",
		".ana@example.com":                       "",
		"ana.@example.com":                       "",
		"a..b@example.com":                       "",
		"a b@example.com":                        "",
		"a@b@example.com":                        "",
		`"a b"@example.com`:                      "",
		"Ana <ana@example.com>":                  "",
		"a\x00b@example.com":                     "",
		"a\u200bb@example.com":                   "", // a space of no width
		"a\u00a0b@example.com":                   "",
		"ana@example.com\r\nBcc: x@example.com":  "",
		"a\xffb@example.com":                     "",
		strings.Repeat("a", 65) + "@example.com": "",
		"ana@" + strings.Repeat("a", 64) + ".com":       "",
		"ana@" + strings.Repeat("abcdefg.", 32) + "com": "",
		strings.Repeat("a", 1<<20) + "@example.com":     "",
	} {
		got, err := account.NormalEmail(raw)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("NormalEmail(%.60q) = %q, %v; want %q", raw, got, err, want)
		}
		if err != nil && len(raw) > 8 && strings.Contains(err.Error(), raw) {
			t.Errorf("the error repeats %q", raw)
		}
	}
}

func TestNormalEmailIsTheOneSpelling(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.String().Draw(t, "local") + "@" + rapid.SampledFrom([]string{"example.com", "BÜCHER.example"}).Draw(t, "domain")
		once, err := account.NormalEmail(raw)
		if err != nil {
			return
		}
		for _, spelling := range []string{once, strings.ToUpper(once), " " + once} {
			again, err := account.NormalEmail(spelling)
			if spelling == strings.ToUpper(once) && err == nil && !strings.EqualFold(spelling, once) { //nolint:gocritic // the upper-case one itself is meant
				continue // has no upper case that folds back
			}
			if err != nil || again != once {
				t.Fatalf("%q became %q, and %q became %q (%v)", raw, once, spelling, again, err)
			}
		}
	})
}

func TestNewPerson(t *testing.T) {
	t.Parallel()
	p, err := account.NewPerson("Ana@example.com", "  Ana Mari\u0301a  ")
	if err != nil || p != (account.Person{Email: "ana@example.com", Name: "Ana María"}) {
		t.Errorf("%+v, %v", p, err)
	}
	for name, good := range map[string]bool{
		"李": true, strings.Repeat("é", 200): true, "O'Neill, Jr.": true,
		"": false, " \n ": false, "a\nb": false, "a\x00b": false, strings.Repeat("é", 201): false,
	} {
		_, err := account.NewPerson("ana@example.com", name)
		var field account.FieldError
		if (err == nil) != good || (!good && (!errors.As(err, &field) || field.Field() != "name")) {
			t.Errorf("name %.20q: %v", name, err)
		}
	}
}
