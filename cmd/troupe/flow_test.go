package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"troupe/choreo/check"
)

// flowRun runs `troupe flow ARGS` and returns what it prints.
func flowRun(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd, err := flowCommand()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err = cmd.Execute()
	return out.String(), err
}

func TestFlowCheckOfOurFlow(t *testing.T) {
	out, err := flowRun(t, "check")
	if err != nil || !strings.Contains(out, ": 0 findings") {
		t.Errorf("flow check: %v\n%s", err, out)
	}
	out, err = flowRun(t, "check", "-o", "json")
	var r check.Report
	if err != nil || json.Unmarshal([]byte(out), &r) != nil || r.Lines == 0 || r.Sagas == 0 || len(r.Findings) > 0 {
		t.Errorf("flow check -o json: %v\n%s", err, out)
	}
}

func TestFlowShow(t *testing.T) {
	out, err := flowRun(t, "show")
	if err != nil || !strings.Contains(out, "place-order") {
		t.Errorf("flow show: %v\n%s", err, out)
	}
	out, err = flowRun(t, "show", "place-order")
	for _, want := range []string{
		"pivot       capture-payment on orders.OrderSubmitted.v1",
		"  1. on payments.PaymentDeclined.v1, cancel-unpaid-order undoes place-order\n  2. on orders.OrderCanceled.v1, refund-payment undoes capture-payment\n",
	} {
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("flow show place-order lacks %q: %v\n%s", want, err, out)
		}
	}
	out, err = flowRun(t, "show", "place-order", "-o", "json")
	var s check.Saga
	if err != nil || json.Unmarshal([]byte(out), &s) != nil || s.Name != "place-order" || s.WorstCase == nil || len(s.Undoing) == 0 {
		t.Errorf("flow show place-order -o json: %v\n%s", err, out)
	}
	if _, err = flowRun(t, "show", "nothing"); err == nil {
		t.Error("an unknown saga is shown")
	} else if _, usage := errors.AsType[usageError](err); !usage {
		t.Errorf("an unknown saga is no usage error: %v", err)
	}
}
