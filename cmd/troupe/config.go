package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/spf13/pflag"

	"troupe/domain/rental"
	"troupe/events"
)

// config is read from the environment, and each of it may be given as a flag too.
// A flag that is secret also takes @FILE, since a command line can be read by
// others on the machine, and never shows what it has.
type config struct {
	Embedded bool // everything is in this process

	HTTP  string `env:"TROUPE_HTTP" flag:"http" usage:"address to serve HTTP on"`
	Kafka string `env:"TROUPE_KAFKA" flag:"kafka" usage:"address of the embedded Kafka broker"`
	Data  string `env:"TROUPE_DATA" flag:"data" usage:"folder of everything that 'troupe up' keeps"`

	DatabaseURL string   `env:"TROUPE_DATABASE_URL" flag:"database-url" secret:"yes" usage:"Postgres, such as postgres://user:password@host/database"`
	DirectURL   string   `env:"TROUPE_DATABASE_DIRECT_URL" flag:"database-direct-url" secret:"yes" usage:"the same database past a transaction pooler, to hear of news; without it they are polled for"`
	ViewsURL    string   `env:"TROUPE_VIEWS_DATABASE_URL" flag:"views-database-url" secret:"yes" usage:"the database that views live in; the same one unless it is set"`
	Postgres    string   `env:"TROUPE_POSTGRES" flag:"postgres" usage:"folder of the programs of Postgres that are started; found on the machine, else fetched"`
	Connections int      `env:"TROUPE_CONNECTIONS" flag:"connections" usage:"most database connections of this process"`
	Brokers     []string `env:"TROUPE_KAFKA_BROKERS" flag:"brokers" usage:"Kafka to use, host:port,…"`
	Prefix      string   `env:"TROUPE_PREFIX" flag:"prefix" usage:"what stands before topics and groups on the broker"`
	Instance    string   `env:"TROUPE_INSTANCE" flag:"instance" usage:"name that no other process has: started again with it after a crash, a process goes on at once"`
	Partitions  int      `env:"TROUPE_PARTITIONS" flag:"partitions" usage:"partitions of a topic that is made" envDefault:"8"`
	MaxEvent    int      `env:"TROUPE_MAX_EVENT_BYTES" flag:"max-event-bytes" usage:"largest fact with its headers, in bytes" envDefault:"921600"`

	LogRetention time.Duration `env:"TROUPE_LOG_RETENTION" flag:"log-retention" usage:"how long the event log keeps facts, such as 8760h; for ever unless it is set"`

	MaxAttachment int64 `env:"TROUPE_MAX_ATTACHMENT_BYTES" flag:"max-attachment-bytes" usage:"largest file of a post, in bytes" envDefault:"10485760"`

	// Each an amount per time of one client, such as 10/1m, or off.
	RateSignUp    string   `env:"TROUPE_RATE_SIGN_UP" flag:"rate-sign-up" usage:"sign-ups of one client, such as 10/1m, or off"`
	RateSignIn    string   `env:"TROUPE_RATE_SIGN_IN" flag:"rate-sign-in" usage:"sign-ins of one client, such as 20/1m, or off"`
	RateSendAgain string   `env:"TROUPE_RATE_SEND_AGAIN" flag:"rate-send-again" usage:"verification mails that one account may ask for again, such as 5/10m, or off"`
	Proxies       []string `env:"TROUPE_PROXIES" flag:"proxies" usage:"networks whose X-Forwarded-For is believed, such as 10.0.0.0/8"`

	APIURL     string `env:"TROUPE_API_URL" flag:"api-url" usage:"base URL of the API, for what pulls events from it"`
	StaffToken string `env:"TROUPE_STAFF_TOKEN" flag:"staff-token" secret:"yes" usage:"lets staff in"`
	TokenKey   string `env:"TROUPE_TOKEN_KEY" flag:"token-key" secret:"yes" usage:"signs verification links"`
	SessionKey string `env:"TROUPE_SESSION_KEY" flag:"session-key" secret:"yes" usage:"sessions are stored under it"`
	CardKey    string `env:"TROUPE_CARD_KEY" flag:"card-key" secret:"yes" usage:"encrypts the tokens of payment methods"`
	PaymentKey string `env:"TROUPE_PAYMENT_KEY" flag:"payment-key" secret:"yes" usage:"the payment provider's"`

	SMTPURL      string `env:"TROUPE_SMTP_URL" flag:"smtp-url" secret:"yes" usage:"the mail server, smtp://user:password@host:port"`
	MailFrom     string `env:"TROUPE_MAIL_FROM" flag:"mail-from" usage:"sender of our mails" envDefault:"Troupe <troupe@example.com>"`
	PaymentURL   string `env:"TROUPE_PAYMENT_URL" flag:"payment-url" usage:"base URL of the payment provider"`
	CarrierURL   string `env:"TROUPE_CARRIER_URL" flag:"carrier-url" secret:"yes" usage:"base URL of the carrier; may hold a password"`
	SMSURL       string `env:"TROUPE_SMS_URL" flag:"sms-url" secret:"yes" usage:"base URL of the SMS gateway; may hold a password"`
	BlobsURL     string `env:"TROUPE_BLOBS_URL" flag:"blobs-url" usage:"where files are kept, file:///… or s3://…"`
	FailCorrupt  bool   `env:"TROUPE_BLOBS_FAIL_CORRUPT" flag:"blobs-fail-corrupt" usage:"for tests: refuse to copy files with 'corrupt' in their name"`
	ForbiddenTag string `env:"TROUPE_FORBIDDEN_TAGS" flag:"forbidden-tags" usage:"tag names that are rejected, with commas between"`

	Rooms string `env:"TROUPE_ROOMS" flag:"rooms" usage:"rooms to rent and their price of a night in minor units, as room-1=9000EUR,…"`

	SandboxHTTP  string        `env:"TROUPE_SANDBOX_HTTP" flag:"sandbox-http" usage:"address of the sandbox's HTTP server" envDefault:"127.0.0.1:0"`
	SandboxSMTP  string        `env:"TROUPE_SANDBOX_SMTP" flag:"sandbox-smtp" usage:"address of the sandbox's SMTP server" envDefault:"127.0.0.1:0"`
	SandboxDelay time.Duration `env:"TROUPE_SANDBOX_DELAY" flag:"sandbox-delay" usage:"how much later the sandbox answers"`

	LogLevel  slog.Level `env:"TROUPE_LOG_LEVEL" flag:"log-level" usage:"debug, info, warn or error"`
	LogFormat string     `env:"TROUPE_LOG_FORMAT" flag:"log-format" usage:"text or json" envDefault:"text"`

	Operator string `env:"TROUPE_OPERATOR" flag:"who" usage:"who gives the command, for the audit; the user, at the host, unless it is set"`
}

// readConfig reads the environment over the defaults of the command at hand.
func readConfig(defaults config) (*config, error) {
	c := defaults
	if err := env.Parse(&c); err != nil {
		return nil, fmt.Errorf("reading the environment: %w", err)
	}
	return &c, nil
}

// flags adds a flag for every field whose flag or variable is named.
func (c *config) flags(set *pflag.FlagSet, names ...string) {
	v, t := reflect.ValueOf(c).Elem(), reflect.TypeFor[config]()
	for i := range t.NumField() {
		f := t.Field(i)
		name, variable := f.Tag.Get("flag"), f.Tag.Get("env")
		if name == "" || !slices.Contains(names, name) && !slices.Contains(names, variable) {
			continue
		}
		usage := f.Tag.Get("usage") + " ($" + variable + ")"
		if f.Tag.Get("secret") != "" {
			set.Var(secret{v.Field(i).Addr().Interface().(*string)}, name, usage+"; @FILE reads it from there") //nolint:forcetypeassert // a test makes every flag
			continue
		}
		switch p := v.Field(i).Addr().Interface().(type) {
		case *slog.Level:
			set.TextVar(p, name, *p, usage)
		case *string:
			set.StringVar(p, name, *p, usage)
		case *[]string:
			set.StringSliceVar(p, name, *p, usage)
		case *int:
			set.IntVar(p, name, *p, usage)
		case *int64:
			set.Int64Var(p, name, *p, usage)
		case *bool:
			set.BoolVar(p, name, *p, usage)
		case *time.Duration:
			set.DurationVar(p, name, *p, usage)
		}
	}
}

// secret is a flag that says nothing of what it has.
type secret struct{ to *string }

func (s secret) String() string { return "" }
func (s secret) Type() string   { return "string" }

func (s secret) Set(given string) error {
	name, isFile := strings.CutPrefix(given, "@")
	if !isFile {
		*s.to = given
		return nil
	}
	body, err := os.ReadFile(name)
	*s.to = strings.TrimSpace(string(body))
	return err
}

func (c *config) logger() *slog.Logger {
	o := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, o))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, o))
}

// require checks that the named variables are set, and names all that are not.
func (c *config) require(vars ...string) error {
	v, t := reflect.ValueOf(c).Elem(), reflect.TypeFor[config]()
	var missing []string
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("env"); slices.Contains(vars, name) && v.Field(i).IsZero() {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("set %s (or use `troupe up`, which needs none of them; --up DIR lets the commands of operators into that)", strings.Join(missing, " and "))
	}
	return nil
}

// key derives 32 bytes for one purpose from a secret of any length.
func key(purpose, secret string) []byte {
	sum := sha256.Sum256([]byte("troupe " + purpose + "\x00" + secret))
	return sum[:]
}

// checkInstance wants what Kafka takes, and leaves room for the name of a group.
func (c *config) checkInstance() error {
	if c.Instance != "" && !instancePattern.MatchString(c.Instance) {
		return fmt.Errorf("TROUPE_INSTANCE: %q is no name of 1 to 150 letters, digits, dots, dashes and underscores", c.Instance)
	}
	return nil
}

var instancePattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,150}$`)

func (c *config) forbiddenTags() []string {
	return strings.FieldsFunc(c.ForbiddenTag, func(r rune) bool { return r == ',' })
}

// rooms are those of the configuration.
func (c *config) rooms() (rooms []rental.Room, err error) {
	for one := range strings.FieldsFuncSeq(c.Rooms, func(r rune) bool { return r == ',' }) {
		m := roomPattern.FindStringSubmatch(strings.TrimSpace(one))
		if m == nil {
			return nil, fmt.Errorf("TROUPE_ROOMS: %q is no room such as room-1=9000EUR", one)
		}
		amount, err := strconv.ParseInt(m[2], 10, 64)
		if err != nil || amount == 0 {
			return nil, fmt.Errorf("TROUPE_ROOMS: %q has no price that can be paid", one)
		}
		rooms = append(rooms, rental.Room{ID: m[1], Price: events.Money{Amount: amount, Currency: m[3]}})
	}
	return rooms, nil
}

var roomPattern = regexp.MustCompile(`^([A-Za-z0-9._-]{1,100})=([0-9]{1,9})([A-Z]{3})$`)

// databaseURL adds the limits that every connection of the engine has: a
// process that is stopped inside a transaction would otherwise hold its locks
// for ever.
func databaseURL(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme == "" {
		return "", errors.New("TROUPE_DATABASE_URL is no URL such as postgres://user@host/database")
	}
	q := u.Query()
	for name, value := range map[string]string{
		"binary_parameters": "yes", "application_name": "troupe", "connect_timeout": "5",
		"idle_in_transaction_session_timeout": "10000", "statement_timeout": "30000", "lock_timeout": "10000",
		"tcp_user_timeout": "10000",
	} {
		if !q.Has(name) {
			q.Set(name, value)
		}
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// dataDir is where `troupe up` keeps things unless it is told.
func dataDir() string {
	if base := os.Getenv("XDG_DATA_HOME"); base != "" {
		return filepath.Join(base, "troupe")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ".troupe"
	}
	return filepath.Join(home, ".local", "share", "troupe")
}
