package sandbox_test

import (
	"bufio"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"troupe/choreo/embedded/embeddedtest"
	"troupe/sandbox"
	"troupe/sandbox/sandboxtest"
)

// victimOf names the database of a sandbox that is run to be killed.
const victimOf = "SANDBOX_TEST_VICTIM_OF"

// TestVictim is no test: it is the process that TestStateSurvivesAKill kills.
func TestVictim(t *testing.T) {
	url := os.Getenv(victimOf)
	if url == "" {
		t.Skip("only run by TestStateSurvivesAKill")
	}
	db, err := sql.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sandbox.Start(t.Context(), sandbox.Options{
		Database: db, SMTPAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0", PaymentKey: sandboxtest.PaymentKey,
		Timing: sandbox.Timing{Hang: time.Hour},
	})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("listening %s %s\n", s.SMTPAddr(), s.HTTPAddr())
	select {}
}

// TestStateSurvivesAKill kills a sandbox that has charged and not answered.
func TestStateSurvivesAKill(t *testing.T) {
	t.Parallel()
	database := embeddedtest.Database(t, sandbox.Migrate)
	victim := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestVictim$")
	victim.Env = append(os.Environ(), victimOf+"="+database)
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	var smtpAddr, httpAddr string
	for lines := bufio.NewScanner(out); httpAddr == "" && lines.Scan(); {
		_, _ = fmt.Sscanf(lines.Text(), "listening %s %s", &smtpAddr, &httpAddr)
	}
	if httpAddr == "" {
		t.Fatal("the victim did not start")
	}
	base := "http://" + httpAddr
	id := create(t, base, "k")
	path := "/v1/payment_intents/" + id + "/confirm"
	hanging := make(chan error, 1)
	go func() {
		_, err := stripe(t, base, "POST", path, "k#confirm", withCard("tok_timeout_after_charge"))
		hanging <- err
	}()

	// The heir runs on the same database, and sees what the victim committed.
	heir := sandboxtest.StartOn(t, database)
	for deadline := time.Now().Add(10 * time.Second); len(heir.Payments()) == 0; {
		if time.Now().After(deadline) {
			t.Fatal("no charge")
		}
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-hanging; err == nil {
		t.Error("the call was answered")
	}
	_ = victim.Wait()

	got := mustStripe(t, heir.PaymentURL(), "POST", path, "k#confirm", withCard("tok_timeout_after_charge"))
	if got.status != 200 || got.ID != id || got.Status != "succeeded" {
		t.Errorf("the repeat: %+v", got)
	}
	var statuses []string
	for _, p := range heir.Payments() {
		statuses = append(statuses, p.Status)
	}
	if strings.Join(statuses, " ") != "succeeded replayed" {
		t.Errorf("listed %v", statuses)
	}
}

// TestFailuresAreCountedAcrossARestart fails twice in all, not per process.
func TestFailuresAreCountedAcrossARestart(t *testing.T) {
	t.Parallel()
	database := embeddedtest.Database(t, sandbox.Migrate)
	for attempt, want := range []bool{false, false, true} {
		box := sandboxtest.StartOn(t, database)
		if err := send(box, "id", "text", "flaky@example.org"); (err == nil) != want {
			t.Errorf("attempt %d: %v", attempt+1, err)
		}
		if err := box.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
