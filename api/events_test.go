package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"
)

type pulled struct {
	Items []struct {
		Position                     int64
		ID, Source, Type, Topic, Key string
		Time                         time.Time
		SagaID, Emitter              string
		CausationID                  *string
		Data                         struct{ AccountID, MailID string }
	}
	Position int64
}

func (r *rig) pull(query string) (p pulled) {
	r.t.Helper()
	r.do("GET", "/events"+query, staffToken, nil).is(200).into(&p)
	return p
}

func TestPullEvents(t *testing.T) {
	t.Parallel()
	r := start(t)
	if p := r.pull(""); p.Items == nil || len(p.Items) != 0 || p.Position != 0 {
		t.Errorf("an empty log gives %+v", p)
	}
	id, token := r.signedIn("ana@example.com")
	r.do("PUT", "/accounts/"+id+"/password", token, map[string]string{"current": "correct horse", "new": "battery staple"}).is(200)
	r.sequence()

	p := r.pull("")
	if len(p.Items) != 2 || p.Position != p.Items[1].Position || p.Items[0].Position >= p.Items[1].Position {
		t.Fatalf("pulled %+v", p)
	}
	e := p.Items[0]
	if e.Type != "accounts.AccountRegistered.v1" || e.Topic != "accounts" || e.Key != id || e.Data.AccountID != id ||
		e.Emitter != "sign-up" || e.CausationID != nil || e.SagaID == "" || e.ID == "" || e.Source != r.db.Source() ||
		time.Since(e.Time) > time.Minute || e.Time.Location() != time.UTC {
		t.Errorf("pulled %+v", e)
	}
	if next := r.pull(fmt.Sprintf("?after=%d", e.Position)); len(next.Items) != 1 || next.Items[0].ID != p.Items[1].ID {
		t.Errorf("after the first: %+v", next)
	}
	if one := r.pull("?limit=1"); len(one.Items) != 1 || one.Position != e.Position {
		t.Errorf("one: %+v", one)
	}
	if some := r.pull("?type=accounts.PasswordChanged.v1"); len(some.Items) != 1 || some.Position != p.Position {
		t.Errorf("of one type: %+v", some)
	}
	if none := r.pull("?topic=orders"); len(none.Items) != 0 || none.Position != p.Position {
		t.Errorf("of another topic: %+v: the reader would read them all again", none)
	}
	if all := r.pull("?topic=accounts"); len(all.Items) != 2 {
		t.Errorf("of one topic: %+v", all)
	}
	if past := r.pull("?after=1000"); len(past.Items) != 0 || past.Position != 1000 {
		t.Errorf("past the end: %+v", past)
	}
}

func TestPullEventsRefuses(t *testing.T) {
	t.Parallel()
	r := start(t)
	_, token := r.signedIn("ana@example.com")
	r.do("GET", "/events", "", nil).is(401)
	r.do("GET", "/events", token, nil).is(403)
	for query, at := range map[string]string{
		"after=-1": "query.after", "after=x": "query.after", "limit=0": "query.limit", "limit=1001": "query.limit",
		"wait=soon": "query.wait", "wait=-1s": "query.wait",
	} {
		if got := r.do("GET", "/events?"+query, staffToken, nil).is(422).locations(); !slices.Equal(got, []string{at}) {
			t.Errorf("%s at %v", query, got)
		}
	}
}

func TestLongPoll(t *testing.T) {
	t.Parallel()
	r := start(t)
	came := make(chan pulled, 1)
	go func() { defer close(came); came <- r.pull("?wait=20s&topic=accounts") }()
	id, _ := r.signedIn("ana@example.com")
	r.sequence()
	if p := <-came; len(p.Items) != 1 || p.Items[0].Key != id {
		t.Errorf("waited for %+v", p)
	}

	began := time.Now()
	if p := r.pull("?after=9&wait=1"); len(p.Items) != 0 || p.Position != 9 || time.Since(began) < time.Second {
		t.Errorf("past the end, after %v: %+v", time.Since(began), p)
	}
}

func TestShutdownEndsLongPolls(t *testing.T) {
	t.Parallel()
	r := start(t)
	server := r.api.HTTPServer()
	came := make(chan int, 1)
	go func() { defer close(came); came <- r.do("GET", "/events?wait=20s", staffToken, nil).status }()
	if err := server.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case status := <-came:
		if status != http.StatusOK {
			t.Errorf("status %d", status)
		}
	case <-time.After(10 * time.Second):
		t.Error("the long poll goes on")
	}
}

// logged puts a fact of the given size at a position of the log, as its end.
func (r *rig) logged(position int64, size int) {
	r.t.Helper()
	for _, statement := range []string{
		`insert into choreo.streams (source, topic, partition) values ('/here', 'accounts', 0) on conflict do nothing`,
		fmt.Sprintf(`insert into choreo.event_log (position, stream, sequence, event_id, type, key, saga, causation, emitter,
				ran_in, traceparent, at, data)
			select %d, id, %[1]d, 'e%[1]d', 'accounts.AccountVerified.v1', 'a', 's', 'c', 'x', '', '', choreo.troupe_now(),
				convert_to('{"x": "' || repeat('x', %d) || '"}', 'UTF8') from choreo.streams where topic = 'accounts'`, position, size),
		fmt.Sprintf(`update choreo.log_head set position = %d`, position),
	} {
		if _, err := r.db.Pool().ExecContext(r.t.Context(), statement); err != nil {
			r.t.Fatal(err)
		}
	}
}

func TestAnAnswerOfEventsIsBounded(t *testing.T) {
	t.Parallel()
	r := start(t)
	for position := range int64(3) {
		r.logged(position+1, 5<<20)
	}
	if p := r.pull(""); len(p.Items) != 2 || p.Position != 2 {
		t.Errorf("%d events of 5 MiB, position %d; want 2 and 2", len(p.Items), p.Position)
	}
	if p := r.pull("?after=2"); len(p.Items) != 1 || p.Position != 3 {
		t.Errorf("%d events of 5 MiB, position %d; want 1 and 3", len(p.Items), p.Position)
	}
}

func TestARareEventFarAway(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.logged(1, 1)
	r.logged(100_000, 1)
	p := r.pull("?after=1&type=accounts.AccountVerified.v1")
	if len(p.Items) != 1 || p.Position != 100_000 || *p.Items[0].CausationID != "c" {
		t.Errorf("pulled %+v", p)
	}
}
