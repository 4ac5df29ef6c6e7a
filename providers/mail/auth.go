package mail

import (
	"errors"
	"slices"

	"github.com/wneessen/go-mail/smtp"
)

// auth signs in with PLAIN, or LOGIN where the server knows only that. Both
// show the password to whoever reads the line, so neither starts without TLS
// except on the loopback interface.
type auth struct {
	dialer *dialer
	mech   smtp.Auth
}

func (a *auth) Start(server *smtp.ServerInfo) (string, []byte, error) {
	if !server.TLS && !a.dialer.loopback {
		return "", nil, errors.New("the server offers no TLS: credentials are not sent in clear")
	}
	s := a.dialer.smtp
	switch {
	case slices.Contains(server.Auth, "PLAIN"):
		a.mech = smtp.PlainAuth("", s.user, s.password, s.host, true)
	case slices.Contains(server.Auth, "LOGIN"):
		a.mech = smtp.LoginAuth(s.user, s.password, s.host, true)
	default:
		return "", nil, errors.New("the server offers neither AUTH PLAIN nor AUTH LOGIN")
	}
	return a.mech.Start(server)
}

func (a *auth) Next(fromServer []byte, more bool) ([]byte, error) {
	return a.mech.Next(fromServer, more)
}
