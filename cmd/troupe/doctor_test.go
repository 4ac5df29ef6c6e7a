package main

import (
	"encoding/json"
	"strings"
	"testing"

	"troupe/choreo/embedded/embeddedtest"
)

// The doctor says of each thing that it is given whether it is right, and what to
// do; and never what a secret is.
func TestDoctor(t *testing.T) {
	o := operators{t}
	const secret = "hunter2-hunter2-hunter2"
	t.Setenv("TROUPE_DATABASE_URL", embeddedtest.Database(t, nil))
	t.Setenv("TROUPE_KAFKA_BROKERS", embeddedtest.Broker(t))
	t.Setenv("TROUPE_PREFIX", embeddedtest.Prefix(t))
	t.Setenv("TROUPE_STAFF_TOKEN", secret)
	t.Setenv("TROUPE_CARD_KEY", "short-one")
	t.Setenv("TROUPE_SMTP_URL", "smtp://troupe:"+secret+"@127.0.0.1:1")
	states := func() map[string]string {
		t.Helper()
		out, _ := o.run("doctor", "-o", "json")
		if strings.Contains(out, secret) || strings.Contains(out, "short-one") {
			t.Errorf("the doctor told a secret: %s", out)
		}
		var all struct{ Items []finding }
		if err := json.Unmarshal([]byte(out), &all); err != nil {
			t.Fatalf("doctor -o json: %v\n%s", err, out)
		}
		by := map[string]string{}
		for _, f := range all.Items {
			by[f.Check] = f.State
			if f.State == "wrong" && (f.What == "" || f.Do == "") {
				t.Errorf("%s is wrong, and nothing says what to do: %+v", f.Check, f)
			}
		}
		return by
	}
	holds := func(got map[string]string, want map[string]string) {
		t.Helper()
		for check, state := range want {
			if got[check] != state {
				t.Errorf("%s is %q, want %q", check, got[check], state)
			}
		}
	}
	holds(states(), map[string]string{"TROUPE_STAFF_TOKEN": "ok", "TROUPE_CARD_KEY": "wrong", "TROUPE_TOKEN_KEY": "not given",
		"TROUPE_SMTP_URL": "wrong", "TROUPE_KAFKA_BROKERS": "ok", "Postgres": "ok", "clocks": "ok", "tables": "wrong", "TROUPE_BLOBS_URL": "not given"})
	if _, code := o.run("doctor"); code != exitFailed {
		t.Errorf("with things wrong the exit code is %d", code)
	}
	o.must("migrate")
	prefix := embeddedtest.Prefix(t)
	t.Setenv("TROUPE_PREFIX", prefix)
	holds(states(), map[string]string{"tables": "ok", "topic " + prefix + "accounts": "wrong"})
	o.must("topics", "apply", "--partitions", "2")
	t.Setenv("TROUPE_CARD_KEY", secret)
	t.Setenv("TROUPE_SMTP_URL", "")
	t.Setenv("TROUPE_BLOBS_URL", "file://"+t.TempDir())
	got := states()
	holds(got, map[string]string{"topics": "ok", "TROUPE_CARD_KEY": "ok", "TROUPE_SMTP_URL": "not given", "TROUPE_BLOBS_URL": "ok", "pooler": "ok"})
	if got["durability"] == "ok" { // the tests' own server may have fsync off, which is wrong
		o.must("doctor")
	}
	t.Setenv("TROUPE_KAFKA_BROKERS", "127.0.0.1:1")
	t.Setenv("TROUPE_DATABASE_URL", "postgres://u:"+secret+"@127.0.0.1:1/none")
	holds(states(), map[string]string{"TROUPE_KAFKA_BROKERS": "wrong", "TROUPE_DATABASE_URL": "wrong"})
}
