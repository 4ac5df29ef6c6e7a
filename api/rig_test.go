package api_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"
	"golang.org/x/crypto/bcrypt"

	"troupe/api"
	"troupe/choreo"
	"troupe/choreo/broker"
	"troupe/choreo/consume"
	"troupe/choreo/embedded/embeddedtest"
	"troupe/choreo/eventlog"
	"troupe/choreo/relay"
	"troupe/choreo/saga"
	"troupe/choreo/view"
	wirefmt "troupe/choreo/wire"
	"troupe/domain/account"
	"troupe/handlers"
)

const staffToken = "the-staff-token"

var sessionKey = []byte("session key")

// rig is the API over a database of the test's own, driven over HTTP.
type rig struct {
	t    *testing.T
	db   *choreo.DB
	api  *api.Server
	url  string
	logs *logBook // what the API logged so far
	wire *wire    // between the API and its database
	key  string   // Idempotency-Key of requests, empty: none

	relay *sequencer
}

// sequencer is the relay of a rig, one call at a time.
type sequencer struct {
	sync.Mutex
	relay *relay.Relay
}

// emptyKafka is a broker that nothing was published to.
type emptyKafka struct{}

// Ends knows of no topics.
func (emptyKafka) Ends(context.Context, []string) ([]broker.End, error) { return nil, nil }

// ReadFrom finds nothing.
func (emptyKafka) ReadFrom(context.Context, string, int32, int64, func(*wirefmt.Record) error) error {
	return nil
}

// keyed is the same rig, which sends this key with every request.
func (r *rig) keyed(key string) *rig {
	with := *r
	with.key = key
	return &with
}

// ofViews are the paths of what is read from a view.
var ofViews = regexp.MustCompile(`^/(orders/.+|accounts/.+|posts(\?.*)?|stats/.+)$`)

// logBook is a log that can be read while it is written.
type logBook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start starts the API; change may change its options.
func start(t *testing.T, change ...func(*api.Options)) *rig {
	t.Helper()
	o := api.Options{
		TokenKey: []byte("token key"), SessionKey: sessionKey,
		CardKey: bytes.Repeat([]byte{7}, 32), StaffToken: staffToken,
	}
	r := &rig{t: t, logs: &logBook{}, wire: &wire{}, relay: &sequencer{}}
	o.Log = slog.New(slog.NewTextHandler(r.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	for _, c := range change {
		c(&o)
	}
	flow, err := handlers.Flow(handlers.Outside{Blobs: o.Blobs, TokenKey: o.TokenKey, CardKey: o.CardKey})
	if err != nil {
		t.Fatal(err)
	}
	connector, err := pq.NewConnector(embeddedtest.Database(t, handlers.Migrate))
	if err != nil {
		t.Fatal(err)
	}
	connector.Dialer(r.wire)
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(10)
	t.Cleanup(func() { _ = pool.Close() })
	if r.db, err = choreo.Open(t.Context(), pool, flow, choreo.Options{}); err != nil {
		t.Fatal(err)
	}
	o.DB = r.db
	if r.api, err = api.New(o); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(nil)
	server.Config = r.api.HTTPServer()
	server.Start()
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

// reply is an answer, read whole.
type reply struct {
	t      *testing.T
	status int
	header http.Header
	body   []byte
}

// do sends a request with a JSON body, which may be a string as it is, nothing,
// or a value.
func (r *rig) do(method, path, token string, body any) *reply {
	r.t.Helper()
	if method == http.MethodGet && ofViews.MatchString(path) {
		r.project()
	}
	var in io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(b)
	default:
		data, err := json.Marshal(b)
		if err != nil {
			r.t.Fatal(err)
		}
		in = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, in)
	if err != nil {
		r.t.Fatal(err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return r.send(req)
}

func (r *rig) send(req *http.Request) *reply {
	r.t.Helper()
	if r.key != "" {
		req.Header.Set("Idempotency-Key", r.key)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return &reply{r.t, res.StatusCode, res.Header, data}
}

// atOnce sends n requests side by side and counts the statuses of the answers.
func (r *rig) atOnce(n int, request func(i int) *reply) map[int]int {
	var mu sync.Mutex
	var wg sync.WaitGroup
	counts := map[int]int{}
	for i := range n {
		wg.Go(func() {
			got := request(i)
			mu.Lock()
			defer mu.Unlock()
			counts[got.status]++
		})
	}
	wg.Wait()
	return counts
}

// is checks the status; a refusal must be a problem.
func (p *reply) is(status int) *reply {
	p.t.Helper()
	if p.status != status {
		p.t.Fatalf("status %d, want %d: %s", p.status, status, p.body)
	}
	if status >= 400 {
		var problem struct {
			Title  string
			Status int
		}
		p.into(&problem)
		if p.header.Get("Content-Type") != "application/problem+json" || problem.Status != status || problem.Title == "" {
			p.t.Fatalf("%d is no problem (%s): %s", status, p.header.Get("Content-Type"), p.body)
		}
	}
	return p
}

func (p *reply) into(v any) *reply {
	p.t.Helper()
	if err := json.Unmarshal(p.body, v); err != nil {
		p.t.Fatalf("%v: %s", err, p.body)
	}
	return p
}

// locations are the places that a problem names.
func (p *reply) locations() (all []string) {
	p.t.Helper()
	var problem struct {
		Errors []struct{ Location string }
	}
	p.into(&problem)
	for _, e := range problem.Errors {
		all = append(all, e.Location)
	}
	return all
}

// signedIn makes an account with the password "correct horse" and a session,
// without the time that bcrypt takes.
func (r *rig) signedIn(email string) (id, token string) {
	r.t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("correct horse"), bcrypt.MinCost)
	if err != nil {
		r.t.Fatal(err)
	}
	_, err = choreo.Commit(r.t.Context(), r.db, "sign-up", func(ctx context.Context, tx *choreo.Tx) error {
		a, err := account.SignUp(ctx, tx, account.Person{Email: email, Name: "Ana"}, hash)
		if err != nil {
			return err
		}
		id, token = a.ID, "the token of "+email
		_, err = tx.ExecContext(ctx, `insert into sessions (token_hash, account_id, created_at, expires_at)
			values ($1, $2, $3, $4)`, []byte(account.HashSession(sessionKey, token)), id, tx.Now(), tx.Now().Add(time.Hour))
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return id, token
}

func (r *rig) signIn(email, password string) (id, token string) {
	r.t.Helper()
	var session struct{ AccountID, Token string }
	r.do("POST", "/sessions", "", map[string]string{"email": email, "password": password}).
		is(http.StatusCreated).into(&session)
	return session.AccountID, session.Token
}

// sequence moves the facts committed so far to the log, and to the lists of sagas.
func (r *rig) sequence() {
	r.t.Helper()
	for _, topic := range r.db.Flow().Topics() {
		_, err := r.db.Pool().ExecContext(r.t.Context(), `insert into choreo.topics (topic, partitions)
			values ($1, 4) on conflict do nothing`, topic)
		if err != nil {
			r.t.Fatal(err)
		}
	}
	r.relay.Lock()
	defer r.relay.Unlock()
	if r.relay.relay == nil {
		r.relay.relay = relay.New(r.db, nil, emptyKafka{}, slog.New(slog.DiscardHandler))
	}
	if _, err := r.relay.relay.Sequence(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	for n := 1; n > 0; {
		var err error
		if n, err = saga.Advance(r.t.Context(), r.db); err != nil {
			r.t.Fatal(err)
		}
	}
}

// project brings the views up to date, where a GET is about to read one.
func (r *rig) project() {
	r.t.Helper()
	if r.db.Pool().PingContext(r.t.Context()) != nil {
		return // the test has closed it
	}
	r.sequence()
	for _, v := range r.db.Flow().Views() {
		if v.Pulls != nil {
			for n := int64(1); n > 0; {
				var err error
				if n, err = view.Reader(r.db, v, eventlog.Source{DB: r.db}).Once(r.t.Context(), 0); err != nil {
					r.t.Fatal(err)
				}
			}
			continue
		}
		feeder := consume.NewFeeder(&consume.Applier{DB: r.db, Consumer: r.db.Flow().Consumer(v.Name)}, slog.New(slog.DiscardHandler))
		for n := 1; n > 0; {
			var err error
			if n, err = feeder.Feed(r.t.Context()); err != nil {
				r.t.Fatal(err)
			}
		}
	}
}

// happened commits facts as a consumer does, in a saga of their own.
func (r *rig) happened(facts ...choreo.Fact) {
	r.t.Helper()
	err := r.db.InUnit(r.t.Context(), func(_ context.Context, u *choreo.Unit) error {
		cause := choreo.Meta{ID: uuid.NewString(), Source: "/test", Saga: uuid.NewString()}
		for _, f := range facts {
			u.For(&choreo.Rule{Consumer: "somebody", Emits: []string{f.FactType()}}, &cause, 0, nil).Emit(f)
		}
		return u.Err()
	})
	if err != nil {
		r.t.Fatal(err)
	}
}
