package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/emersion/go-smtp"
)

// maxMessage is the largest message taken, in bytes.
const maxMessage = 10 << 20

func (s *Sandbox) startSMTP(ctx context.Context) error {
	if s.opts.SMTPAddr == "" {
		return nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.opts.SMTPAddr)
	if err != nil {
		return fmt.Errorf("listening for SMTP: %w", err)
	}
	s.smtpListener = listener
	s.smtp = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		return &session{sandbox: s}, nil
	}))
	s.smtp.Domain = "sandbox.troupe"
	s.smtp.EnableSMTPUTF8 = true
	s.smtp.MaxMessageBytes = maxMessage
	s.smtp.ReadTimeout = time.Minute
	s.smtp.WriteTimeout = time.Minute
	s.smtp.ErrorLog = slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelDebug)
	s.serve("SMTP", func() error { return s.smtp.Serve(listener) })
	return nil
}

// session is one SMTP connection. It takes any sender, any recipient and no
// password; what fails, fails when the message is there, so that the list
// shows it.
type session struct {
	sandbox    *Sandbox
	recipients []string
}

func (c *session) Mail(string, *smtp.MailOptions) error { return nil }

func (c *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	c.recipients = append(c.recipients, to)
	return nil
}

func (c *session) Reset() { c.recipients = nil }

func (c *session) Logout() error { return nil }

var (
	errNoSuchUser = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such user here"}
	errTryLater   = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "Try again later"}
	errGoingAway  = &smtp.SMTPError{Code: 421, EnhancedCode: smtp.EnhancedCode{4, 3, 2}, Message: "The sandbox is closing"}
	errUnreadable = &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "This is not a mail"}
)

// Data takes a message and delivers it to its recipients. One answer stands
// for all of them: the worst.
func (c *session) Data(r io.Reader) error {
	leave, ok := c.sandbox.gate.enter()
	if !ok {
		return errGoingAway
	}
	defer leave()
	m, err := readMessage(r)
	var tooLarge *smtp.SMTPError
	switch {
	case errors.As(err, &tooLarge):
		return tooLarge
	case err != nil:
		return errUnreadable
	}
	statuses, err := c.sandbox.deliver(m, c.recipients)
	switch {
	case c.sandbox.ctx.Err() != nil:
		return errGoingAway
	case err != nil:
		c.sandbox.opts.Log.Error("the sandbox could not deliver a mail", "error", err)
		return errTryLater
	case statuses[declined]:
		return errNoSuchUser
	case statuses[failed]:
		return errTryLater
	}
	return nil
}
