package main

import (
	"bytes"
	"context"
	"encoding/json"

	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"troupe/choreo"
	"troupe/choreo/broker"
	"troupe/choreo/embedded/embeddedtest"
	"troupe/choreo/relay"
	"troupe/choreo/saga"
	"troupe/choreo/steps"
	"troupe/choreo/wire"
	"troupe/events"
)

var update = flag.Bool("update", false, "write the golden files anew")

// operators runs commands of operators against a database and a broker.
type operators struct{ t *testing.T }

func (o operators) run(args ...string) (out string, code int) {
	o.t.Helper()
	var b bytes.Buffer
	code = run(o.t.Context(), args, &b)
	return b.String(), code
}

// must runs a command that succeeds.
func (o operators) must(args ...string) string {
	o.t.Helper()
	out, code := o.run(args...)
	if code != 0 {
		o.t.Fatalf("troupe %s: exit code %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

var (
	ids   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	times = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?`)
	spans = regexp.MustCompile(`\b(\d+h)?(\d+m)?\d+(\.\d+)? ?(µs|ms|s)\b`)
	due   = regexp.MustCompile(`LATE by SPAN|expected within SPAN`) // on a machine that is busy it comes late
	gaps  = regexp.MustCompile(`  +`)
)

// golden holds what a command printed against a file, ids and times aside.
func (o operators) golden(name, got string) {
	o.t.Helper()
	got = spans.ReplaceAllString(times.ReplaceAllString(ids.ReplaceAllString(got, "ID"), "TIME"), "SPAN")
	got = due.ReplaceAllString(got, "expected within SPAN")
	got = gaps.ReplaceAllString(strings.ReplaceAll(got, new(config).operator(), "WHO"), "  ")
	got = strings.ReplaceAll(got, os.Getenv("TROUPE_PREFIX"), "PREFIX-")
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			o.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || got != string(want) {
		o.t.Errorf("%s is not what %s holds (%v; -update writes it):\n%s", name, path, err, got)
	}
}

// TestOperatorCommands goes through the commands as an operator would: what each
// prints is held against a golden file.
func TestOperatorCommands(t *testing.T) {
	t.Setenv("TROUPE_DATABASE_URL", embeddedtest.Database(t, nil))
	t.Setenv("TROUPE_KAFKA_BROKERS", embeddedtest.Broker(t))
	t.Setenv("TROUPE_PREFIX", embeddedtest.Prefix(t))
	o := operators{t}
	o.must("migrate")
	o.must("topics", "apply", "--partitions", "1")

	c, err := readConfig(config{Connections: 4})
	if err != nil {
		t.Fatal(err)
	}
	a, err := openApp(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.close() })
	if err := a.openDB(t.Context()); err != nil {
		t.Fatal(err)
	}
	sagaID := o.given(a)

	o.golden("sagas-list", o.must("sagas", "list", "--status", "parked"))
	o.golden("sagas-show", o.must("sagas", "show", sagaID))
	var shown saga.Saga
	if out := o.must("sagas", "show", sagaID, "-o", "json"); json.Unmarshal([]byte(out), &shown) != nil || shown.ID != sagaID || shown.Status != "parked" {
		t.Errorf("sagas show -o json: %s", out)
	}
	if _, code := o.run("sagas", "show", "nobody"); code != exitFailed {
		t.Errorf("an unknown saga: exit code %d", code)
	}
	if _, code := o.run("sagas", "list", "--status", "odd"); code != exitUsage {
		t.Errorf("an unknown status: exit code %d", code)
	}
	o.golden("consumers-lag", o.must("consumers", "lag", "record-mail"))
	o.golden("consumers-pause", o.must("consumers", "pause", "record-mail")+o.must("consumers", "pause", "record-mail")+
		lineOf(o.must("consumers", "list"), "record-mail ")+o.must("consumers", "resume", "record-mail"))
	if _, code := o.run("consumers", "pause", "nobody"); code != exitUsage {
		t.Errorf("pausing nobody: exit code %d", code)
	}
	o.golden("accept-gap", o.must("consumers", "accept-gap", "record-mail")+o.must("consumers", "accept-gap", "record-mail", "--execute")+
		o.must("consumers", "accept-gap", "record-mail"))
	o.golden("retire", o.must("consumers", "retire", "old-one")+o.must("consumers", "retire", "old-one", "--execute"))
	for _, name := range []string{"old-one", "record-mail"} {
		if _, code := o.run("consumers", "retire", name, "--execute"); code != exitFailed {
			t.Errorf("retiring %s: exit code %d", name, code)
		}
	}
	o.golden("replay", o.must("replay", "send-verification-mail", "--key", "ana")+o.must("replay", "record-mail")+o.must("replay", "record-mail", "--execute"))
	for _, args := range [][]string{{"--repeat-effects"}, {"--from", "yesterday"}, {"--dry-run", "--execute"}} {
		if _, code := o.run(append([]string{"replay", "record-mail"}, args...)...); code != exitUsage {
			t.Errorf("replay %v: exit code %d", args, code)
		}
	}
	o.golden("events", o.must("events", "tail", "-n", "2")+o.must("events", "pull", "--type", "accounts.VerificationMailFailed.v1"))
	o.emit(a)
	o.steps(a)
	o.golden("topics", o.must("topics", "apply", "--partitions", "1")+o.must("topics", "list")+o.must("topics", "grow", "posts", "--partitions", "3"))
	o.golden("views-rebuild", o.must("views", "rebuild", "post-list")+o.must("views", "rebuild", "post-list", "--execute"))
	if _, code := o.run("views", "rebuild", "nothing"); code != exitUsage {
		t.Errorf("an unknown view: exit code %d", code)
	}
	o.everyAnswerIsJSON(sagaID)
	o.golden("source-new", o.must("source", "new")+o.must("source", "new", "--execute", "--who", "ann"))
	o.golden("audit", o.must("audit", "list"))
	var audit struct{ Items []choreo.Deed }
	if out := o.must("audit", "list", "--action", "consumers", "-o", "json"); json.Unmarshal([]byte(out), &audit) != nil || len(audit.Items) != 4 {
		t.Errorf("audit list -o json: %s", out)
	}
}

// given is a saga with a parked step, one behind a gap of the log, and a consumer
// that the flow has no more. It gives the id of the first.
func (o operators) given(a *app) string {
	o.t.Helper()
	ctx := o.t.Context()
	var saga1 string
	for _, id := range []string{"ana", "bob"} {
		r, err := choreo.Commit(ctx, a.db, "sign-up", func(_ context.Context, tx *choreo.Tx) error {
			tx.Emit(events.AccountRegistered{AccountID: id, MailID: "mail-" + id})
			return nil
		})
		if err != nil {
			o.t.Fatal(err)
		}
		if saga1 == "" {
			saga1 = r.Saga
			err = a.db.InUnit(ctx, func(ctx context.Context, u *choreo.Unit) error {
				m := choreo.Meta{ID: r.EventID, Source: a.db.Source(), Type: events.AccountRegistered{}.FactType(), Key: id, Saga: r.Saga, Time: u.Clock()}
				return steps.Put(ctx, u, steps.New{Consumer: "send-verification-mail", Meta: m, Data: []byte(`{}`), FactKey: id, Line: id, State: steps.Waiting,
					Attempts: 12, Error: "the mail server says no"})
			})
			if err != nil {
				o.t.Fatal(err)
			}
		}
	}
	sequencer := relay.New(a.db, nil, broker.NewReader(a.broker), a.log)
	if _, err := sequencer.Sequence(ctx); err != nil {
		o.t.Fatal(err)
	}
	if err := sequencer.Release(); err != nil { // else source new refuses while the lease lasts
		o.t.Fatal(err)
	}
	for _, statement := range []string{
		`update choreo.steps set state = 'parked'`,
		`update choreo.streams set head = head + 3 where topic = 'accounts'`,
		`insert into choreo.consumers (consumer, topics, local, registered_at) values ('old-one', '{}', false, choreo.troupe_now())`,
		`insert into choreo.watermarks (consumer, source, topic, partition, sequence) values ('old-one', 's', 'accounts', 0, 7)`,
		`insert into choreo.watermarks as w (consumer, source, topic, partition, sequence)
			select 'record-mail', source, topic, partition, 2 from choreo.streams where topic = 'accounts'
			on conflict (consumer, source, topic, partition) do update set sequence = 2`,
	} {
		if _, err := a.pool.ExecContext(ctx, statement); err != nil {
			o.t.Fatal(err)
		}
	}
	for more := true; more; {
		n, err := saga.Advance(ctx, a.db)
		if err != nil {
			o.t.Fatal(err)
		}
		more = n > 0
	}
	return saga1
}

// steps lists, shows, redoes, edits and drops the parked step of given.
func (o operators) steps(a *app) {
	o.t.Helper()
	parked := func() {
		o.t.Helper()
		if _, err := a.pool.ExecContext(o.t.Context(), `update choreo.steps set state = 'parked', error = 'the mail server says no', attempts = 12`); err != nil {
			o.t.Fatal(err)
		}
	}
	parked()
	o.golden("steps-list", o.must("steps", "list", "--state", "parked"))
	o.golden("steps-show", o.must("steps", "show", "1"))
	o.golden("steps-redo", o.must("steps", "redo", "1")+o.must("steps", "redo", "1", "--reason", "the server is back", "--execute"))
	parked()
	file := filepath.Join(o.t.TempDir(), "better.json")
	if err := os.WriteFile(file, []byte(`{"accountId": "ana", "mailId": "ana"}`), 0o600); err != nil {
		o.t.Fatal(err)
	}
	o.golden("steps-edit", o.must("steps", "edit", "1", "--data", "@"+file)+o.must("steps", "edit", "1", "--data", "@"+file, "--reason", "a better one", "--execute"))
	parked()
	o.must("steps", "edit", "1", "--reason", "a new key", "--execute") // with the data that it has
	if out, code := o.run("steps", "drop", "1", "--execute"); code != exitFailed {
		o.t.Errorf("dropping without a reason: exit code %d, %s", code, out)
	}
	o.golden("steps-drop", o.must("steps", "drop", "1")+o.must("steps", "drop", "1", "--reason", "not worth it", "--execute"))
	for args, want := range map[string]int{"redo nine": exitUsage, "show 999": exitFailed, "redo": exitUsage, "redo 1 --execute --force=maybe": exitUsage} {
		if out, code := o.run(append([]string{"steps"}, strings.Fields(args)...)...); code != want {
			o.t.Errorf("steps %s: exit code %d, %s", args, code, out)
		}
	}
}

// everyAnswerIsJSON asks every command that answers with data for JSON, and for
// a form that there is not.
func (o operators) everyAnswerIsJSON(sagaID string) {
	o.t.Helper()
	for _, line := range []string{
		"topics apply", "topics list", "topics grow posts --partitions 3", "sagas list", "sagas show " + sagaID, "steps list", "steps show 1", "steps redo 1", "steps edit 1 --data {}",
		"steps drop 1", "consumers list", "consumers lag record-mail", "consumers pause record-mail --execute=false", "consumers accept-gap record-mail",
		"replay record-mail", "events pull", "emit accounts.VerificationMailFailed.v1 --key eve --dry-run --data {\"accountId\":\"e\",\"mailId\":\"m\",\"reason\":\"none\"}",
		"views rebuild post-list", "audit list", "source new", "flow check", "flow show", "flow show sign-up", "flow generate --check --dir ../..",
		"schemas diff --dir ../..", "doctor",
	} {
		args := strings.Fields(line)
		var v any
		if out, code := o.run(append(args, "-o", "json")...); json.Unmarshal([]byte(out), &v) != nil || code == exitUsage {
			o.t.Errorf("troupe %s -o json: exit code %d\n%s", line, code, out)
		}
		if out, code := o.run(append(args, "-o", "xml")...); code != exitUsage {
			o.t.Errorf("troupe %s -o xml: exit code %d\n%s", line, code, out)
		}
	}
}

// emit publishes what a consumer outside would: checked, and as a CloudEvent.
func (o operators) emit(a *app) {
	o.t.Helper()
	file := filepath.Join(o.t.TempDir(), "fact.json")
	if err := os.WriteFile(file, []byte(`{"accountId": "eve", "mailId": "m1", "reason": "none"}`), 0o600); err != nil {
		o.t.Fatal(err)
	}
	const typ = "accounts.VerificationMailFailed.v1"
	o.golden("emit", o.must("emit", typ, "--key", "eve", "--data", "@"+file, "--dry-run")+o.must("emit", typ, "--key", "eve", "--data", "@"+file))
	for _, bad := range [][]string{
		{"emit", typ, "--key", "eve", "--data", `{"accountId": 7}`},
	} {
		if out, code := o.run(bad...); code != exitFailed {
			o.t.Errorf("%v: exit code %d, %s", bad, code, out)
		}
	}
	for _, bad := range [][]string{
		{"emit", "accounts.Nothing.v1", "--key", "eve", "--data", "{}"}, {"emit", typ, "--key", "eve"}, {"emit", typ, "--data", "{}"}, {"emit"},
		{"emit", typ, "--key", "eve", "--data", "{"},
	} {
		if out, code := o.run(bad...); code != exitUsage {
			o.t.Errorf("%v: exit code %d, %s", bad, code, out)
		}
	}
	records := 0
	err := broker.NewReader(a.broker).ReadFrom(o.t.Context(), "accounts", 0, 0, func(r *wire.Record) error {
		m, data, err := wire.Parse(r)
		if err != nil || m.Type != typ || m.Key != "eve" || m.Source != operatorSource || string(data) != `{"accountId":"eve","mailId":"m1","reason":"none"}` {
			o.t.Errorf("the record is %+v %s, %v", m, data, err)
		}
		records++
		return nil
	})
	if err != nil || records != 1 {
		o.t.Errorf("%d records, %v; want the one that was no dry run", records, err)
	}
}

func lineOf(text, prefix string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, prefix) {
			return line
		}
	}
	return ""
}
