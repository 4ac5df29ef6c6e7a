package mail

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// vault is a mail server that takes nothing before a sign-in over TLS.
type vault struct{ signedIn bool }

func (v *vault) AuthMechanisms() []string { return []string{sasl.Plain} }

func (v *vault) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "me" || password != "p@ss" {
			return errors.New("no")
		}
		v.signedIn = true
		return nil
	}), nil
}

func (v *vault) Mail(string, *smtp.MailOptions) error {
	if !v.signedIn {
		return smtp.ErrAuthRequired
	}
	return nil
}

func (v *vault) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (v *vault) Data(r io.Reader) error               { _, err := io.Copy(io.Discard, r); return err }
func (v *vault) Reset()                               {}
func (v *vault) Logout() error                        { return nil }

func TestCredentialsOverTLS(t *testing.T) {
	t.Parallel()
	https := httptest.NewTLSServer(nil) // for its certificate
	t.Cleanup(https.Close)
	roots := x509.NewCertPool()
	roots.AddCert(https.Certificate())

	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &vault{}, nil }))
	server.TLSConfig = &tls.Config{Certificates: https.TLS.Certificates}
	server.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(func() { _ = server.Close() })
	listen := func(wrap func(net.Listener) net.Listener) string {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = server.Serve(wrap(listener)) }()
		return listener.Addr().String()
	}
	plain := listen(func(l net.Listener) net.Listener { return l })
	encrypted := listen(func(l net.Listener) net.Listener { return tls.NewListener(l, server.TLSConfig) })

	for _, url := range []string{
		"smtp://me:p%40ss@" + plain, "smtp://me:p%40ss@" + plain + "?tls=starttls", "smtp://me:p%40ss@" + encrypted + "?tls=tls",
	} {
		m := mailer(t, url)
		err := m.Send(t.Context(), "k", Message{To: "ann@example.org"})
		if err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: a certificate of nobody's: %v", url, err)
		}
		m.tlsConf.RootCAs = roots
		if err := m.Send(t.Context(), "k", Message{To: "ann@example.org"}); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}
