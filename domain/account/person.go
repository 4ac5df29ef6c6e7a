package account

import (
	"errors"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// FieldError is a field of a command that breaks a rule. Its text never holds
// the value.
type FieldError struct {
	Name   string
	Reason string
}

func (e FieldError) Error() string { return e.Reason }

// Field is the name of the field in the command.
func (e FieldError) Field() string { return e.Name }

// Person is who signs up, in the one spelling that is stored.
type Person struct {
	Email string
	Name  string
}

// NewPerson checks and normalises what a person wrote. The error joins a
// FieldError for each field that breaks a rule.
func NewPerson(email, name string) (Person, error) {
	address, emailErr := NormalEmail(email)
	name, nameErr := normalName(name)
	return Person{Email: address, Name: name}, errors.Join(emailErr, nameErr)
}

var errEmail = FieldError{"email", "this is not an e-mail address; write it like name@domain.com"}

// NormalEmail is the one spelling of an address: trimmed, NFC, case-folded,
// the domain by IDNA (in ASCII). Addresses that differ only in spelling come
// out the same.
func NormalEmail(raw string) (string, error) {
	raw = strings.TrimSpace(raw)
	at := strings.LastIndexByte(raw, '@')
	if at < 0 || len(raw) > 1<<10 || !utf8.ValidString(raw) {
		return "", errEmail
	}
	local := norm.NFC.String(cases.Fold().String(norm.NFD.String(raw[:at])))
	domain, err := idna.Lookup.ToASCII(raw[at+1:])
	if err != nil || !validLocal(local) || !validDomain(domain) || len(local)+1+len(domain) > 254 {
		return "", errEmail
	}
	return local + "@" + domain, nil
}

// validLocal follows the dot-atom of RFC 5322 with the letters of RFC 6531;
// quoted local parts are not taken.
func validLocal(local string) bool {
	if local == "" || len(local) > 64 || local[0] == '.' || strings.HasSuffix(local, ".") || strings.Contains(local, "..") {
		return false
	}
	for _, r := range local {
		switch {
		case r >= utf8.RuneSelf && unicode.IsGraphic(r) && !unicode.IsSpace(r):
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', strings.ContainsRune(".!#$%&'*+-/=?^_`{|}~", r):
		default:
			return false
		}
	}
	return true
}

// validDomain wants a name of at least two labels, and no address in digits.
func validDomain(domain string) bool {
	if !strings.Contains(domain, ".") {
		return false
	}
	if _, err := netip.ParseAddr(domain); err == nil {
		return false
	}
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || strings.HasSuffix(label, "-") {
			return false
		}
	}
	return len(domain) <= 253
}

const maxName = 200 // characters

func normalName(raw string) (string, error) {
	name := norm.NFC.String(strings.TrimSpace(raw))
	if name == "" {
		return "", FieldError{"name", "the name is empty"}
	}
	if utf8.RuneCountInString(name) > maxName {
		return "", FieldError{"name", "the name is longer than 200 characters"}
	}
	for _, r := range name {
		if !unicode.IsGraphic(r) {
			return "", FieldError{"name", "the name holds a character that cannot be shown"}
		}
	}
	return name, nil
}
