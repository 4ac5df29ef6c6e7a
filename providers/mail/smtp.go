package mail

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"
)

// sendTimeout bounds one Send, from dialling to the server's last answer.
const sendTimeout = 30 * time.Second

// SMTP is the Mailer that speaks SMTP. It dials once per message: a slow
// message holds up no other, and there is no connection to grow stale.
type SMTP struct {
	host     string
	port     int
	user     string
	password string
	tls      tlsMode
	from     *netmail.Address
	domain   string // of the sender; the right side of every Message-ID
	timeout  time.Duration
	tlsConf  *tls.Config
}

type tlsMode string

const (
	tlsOffered  tlsMode = ""         // STARTTLS when the server offers it
	tlsNone     tlsMode = "none"     // never
	tlsStartTLS tlsMode = "starttls" // STARTTLS or nothing
	tlsImplicit tlsMode = "tls"      // TLS from the first byte
)

// NewSMTP makes the Mailer for smtp://[user:password@]host:port[?tls=none|starttls|tls].
// Without tls it uses STARTTLS where the server offers it. Credentials never
// travel in clear, except to a loopback address. The sender is an address,
// with a display name or without.
func NewSMTP(rawURL, from string) (*SMTP, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		// The error of url.Parse quotes the URL, and with it the password.
		return nil, errors.New("the mail server's URL cannot be parsed: write smtp://user:password@host:port")
	}
	if u.Scheme != "smtp" || u.Hostname() == "" || (u.Path != "" && u.Path != "/") {
		return nil, fmt.Errorf("the mail server's URL %s: write smtp://host:port", u.Redacted())
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil || port == 0 {
		return nil, fmt.Errorf("the mail server's URL %s needs a port", u.Redacted())
	}
	mode := tlsMode(u.Query().Get("tls"))
	switch mode {
	case tlsOffered, tlsNone, tlsStartTLS, tlsImplicit:
	default:
		return nil, fmt.Errorf("the mail server's URL %s: tls is none, starttls or tls", u.Redacted())
	}
	sender, err := netmail.ParseAddress(from)
	if err != nil {
		return nil, fmt.Errorf("the sender's address %q: %w", from, err)
	}
	password, _ := u.User.Password()
	return &SMTP{
		host: u.Hostname(), port: int(port), user: u.User.Username(), password: password, tls: mode,
		from: sender, domain: sender.Address[strings.LastIndexByte(sender.Address, '@')+1:],
		timeout: sendTimeout,
		tlsConf: &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12},
	}, nil
}

// Send implements Mailer.
func (s *SMTP) Send(ctx context.Context, key string, m Message) error {
	msg, err := s.message(key, m)
	if err != nil {
		return fmt.Errorf("composing mail: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.timeout, fmt.Errorf("no answer within %s", s.timeout))
	defer cancel()

	conn := &dialer{smtp: s}
	defer conn.close()
	defer context.AfterFunc(ctx, conn.close)()
	client, err := s.client(conn)
	if err != nil {
		return fmt.Errorf("preparing to send mail: %w", err)
	}
	err = client.DialAndSendWithContext(ctx, msg)
	if msg.IsDelivered() {
		return nil // the server has it, whatever became of RSET and QUIT
	}
	return scrub(ctx, err)
}

// message builds the mail. Nothing in it but To decides where it goes.
func (s *SMTP) message(key string, m Message) (*gomail.Msg, error) {
	to, err := netmail.ParseAddress(m.To)
	if err != nil || to.Name != "" || to.Address != m.To {
		// The error of ParseAddress quotes the address.
		return nil, fmt.Errorf("the recipient's address is not valid: %w", ErrRefused)
	}
	sum := sha256.Sum256([]byte(key))
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(s.from)
	msg.ToMailAddress(to)
	msg.SetMessageIDWithValue(hex.EncodeToString(sum[:16]) + "@" + s.domain)
	msg.SetDate()
	msg.Subject(oneLine(m.Subject))
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	if m.Kind != "" {
		msg.SetGenHeader(KindHeader, oneLine(m.Kind))
	}
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	return msg, nil
}

// oneLine keeps a value from ending its header field and starting another.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
}

func (s *SMTP) client(conn *dialer) (*gomail.Client, error) {
	policy := gomail.TLSOpportunistic
	switch s.tls {
	case tlsNone, tlsImplicit: // implicit TLS is the dialer's
		policy = gomail.NoTLS
	case tlsStartTLS:
		policy = gomail.TLSMandatory
	}
	options := []gomail.Option{
		gomail.WithPort(s.port),
		gomail.WithTimeout(s.timeout + time.Minute), // the context ends first
		gomail.WithTLSConfig(s.tlsConf),
		gomail.WithTLSPolicy(policy),
		gomail.WithDialContextFunc(conn.dial),
		gomail.WithoutNoop(),
	}
	if s.user != "" {
		options = append(options, gomail.WithSMTPAuthCustom(&auth{dialer: conn}))
	}
	return gomail.NewClient(s.host, options...)
}

// dialer holds the one connection of a Send, so that it can be closed when the
// context ends: go-mail looks at the context only while dialling, and forgets
// to close the connection when the conversation fails before MAIL FROM.
type dialer struct {
	smtp     *SMTP
	loopback bool

	mu     sync.Mutex
	conn   net.Conn
	closed bool
}

func (d *dialer) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	address := net.JoinHostPort(d.smtp.host, strconv.Itoa(d.smtp.port))
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if peer, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		d.loopback = peer.IP.IsLoopback()
	}
	if d.smtp.tls == tlsImplicit {
		conn = tls.Client(conn, d.smtp.tlsConf)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conn = conn
	if d.closed {
		_ = conn.Close()
	}
	return conn, nil
}

func (d *dialer) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.conn != nil {
		_ = d.conn.Close()
	}
}
