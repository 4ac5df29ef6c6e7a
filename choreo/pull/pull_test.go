package pull_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	_ "github.com/lib/pq"

	"troupe/choreo/choreotest"
	"troupe/choreo/embedded/embeddedtest"
	"troupe/choreo/pull"
)

func prepare(ctx context.Context, db *sql.DB) error {
	if err := pull.Migrate(ctx, db); err != nil {
		return err
	}
	_, err := db.ExecContext(ctx, `create table heard (n bigint generated always as identity, position bigint not null)`)
	return errors.Join(err, pull.Migrate(ctx, db)) // twice is once
}

func open(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", embeddedtest.Database(t, prepare))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// server has events at the positions 1 to end, every third of them of the topic
// coins, and asks for a token. Where it is down it answers 503.
type server struct {
	mu   sync.Mutex
	end  int64
	down bool
	last http.Request
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = *r
	q := r.URL.Query()
	if r.Header.Get("Authorization") != "Bearer the token" || r.URL.Path != "/events" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if s.down {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	after, _ := strconv.ParseInt(q.Get("after"), 10, 64)
	limit, _ := strconv.Atoi(q.Get("limit"))
	page := map[string]any{"position": max(after, s.end)}
	items := []map[string]any{}
	for n := after + 1; n <= s.end && len(items) < limit; n++ {
		if q.Get("topic") == "coins" && n%3 != 0 {
			continue
		}
		items = append(items, map[string]any{"position": n, "id": fmt.Sprint("e", n), "type": "coins.Tossed.v1", "data": map[string]any{"n": n}})
		if len(items) == limit {
			page["position"] = n
		}
	}
	page["items"] = items
	_ = json.NewEncoder(w).Encode(page)
}

func serve(t *testing.T, end int64) (*server, *pull.Client) {
	t.Helper()
	s := &server{end: end}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return s, &pull.Client{URL: h.URL + "/", Token: "the token"}
}

func hear(ctx context.Context, tx *sql.Tx, events []pull.Event) error {
	for _, e := range events {
		if _, err := tx.ExecContext(ctx, `insert into heard (position) values ($1)`, e.Position); err != nil {
			return err
		}
	}
	return nil
}

func heard(t *testing.T, db *sql.DB) []int64 {
	t.Helper()
	return choreotest.Column[int64](t, db, `select position from heard order by n`)
}

func upTo(end int64) (all []int64) {
	for n := range end {
		all = append(all, n+1)
	}
	return all
}

// What the handler writes and the position stand together, or neither does.
func TestThePositionMovesWithWhatIsWritten(t *testing.T) {
	t.Parallel()
	db := open(t)
	_, client := serve(t, 7)
	broken := errors.New("not now")
	r := &pull.Reader{Name: "ear", DB: db, Source: client, Handle: func(ctx context.Context, tx *sql.Tx, events []pull.Event) error {
		if err := hear(ctx, tx, events); err != nil || broken == nil {
			return err
		}
		return broken
	}}
	if _, err := r.Once(t.Context(), 0); !errors.Is(err, broken) || len(heard(t, db)) > 0 {
		t.Errorf("%v, and %v are heard", err, heard(t, db))
	}
	broken = nil
	for _, want := range []int64{7, 0} {
		if n, err := r.Once(t.Context(), 0); err != nil || n != want {
			t.Errorf("it went on by %d (%v), want %d", n, err, want)
		}
	}
	at, err := r.Position(t.Context())
	if got := heard(t, db); err != nil || at != 7 || !slices.Equal(got, upTo(7)) {
		t.Errorf("at %d (%v), heard %v", at, err, got)
	}
}

// Of readers with one name that run side by side, one hears each event.
func TestReadersOfOneNameShareAPosition(t *testing.T) {
	t.Parallel()
	db := open(t)
	s, client := serve(t, 100)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		r := &pull.Reader{Name: "ear", DB: db, Source: client, Handle: hear, Log: slog.New(slog.DiscardHandler)}
		wg.Go(func() {
			if err := r.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	defer wg.Wait()
	defer cancel()
	for end := int64(100); end < 3000; end += 299 {
		s.mu.Lock()
		s.end, s.down = end, end%2 == 0
		s.mu.Unlock()
	}
	s.mu.Lock()
	s.down = false
	end := s.end
	s.mu.Unlock()
	choreotest.Eventually(t, "all is heard", func() bool { return int64(len(heard(t, db))) >= end })
	if got := heard(t, db); !slices.Equal(got, upTo(end)) {
		t.Errorf("heard %d events, want %d in order", len(got), end)
	}
}

// What is not asked for is passed, and a position past the end is kept.
func TestAReaderOfSomeTopics(t *testing.T) {
	t.Parallel()
	db := open(t)
	s, client := serve(t, 8)
	r := &pull.Reader{Name: "ear", DB: db, Source: client, Handle: hear, Topics: []string{"coins"}, Types: []string{"a.B.v1", "a.C.v1"}}
	if n, err := r.Once(t.Context(), time.Second); err != nil || n != 8 {
		t.Errorf("it went on by %d, %v", n, err)
	}
	if got := heard(t, db); !slices.Equal(got, []int64{3, 6}) {
		t.Errorf("heard %v", got)
	}
	if q := s.last.URL.Query(); q.Get("type") != "a.B.v1,a.C.v1" || q.Get("wait") != "1s" {
		t.Errorf("asked %v", q)
	}
	s.end = 3
	if n, err := r.Once(t.Context(), 0); err != nil || n != 0 {
		t.Errorf("past the end it went on by %d, %v", n, err)
	}
	client.Token = "another"
	if _, err := r.Once(t.Context(), 0); err == nil {
		t.Error("it is not told that it may not")
	}
}
