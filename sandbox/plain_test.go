package sandbox_test

import (
	"errors"
	"sync"
	"testing"

	"troupe/providers/carrier"
	"troupe/providers/sms"
	"troupe/sandbox/sandboxtest"
)

func TestTheCarrierFailsOnDemand(t *testing.T) {
	t.Parallel()
	box := sandboxtest.Start(t)
	client, err := carrier.NewHTTP(box.CarrierURL())
	if err != nil {
		t.Fatal(err)
	}
	tell := func(key, order, code string) error {
		_, err := client.Tell(t.Context(), key, carrier.Update{
			OrderID: order, ChangeID: "c", Sequence: 1, To: carrier.Address{Name: "Ana", PostalCode: code},
		})
		return err
	}
	if err := tell("k1", "o1", "00000"); !errors.Is(err, carrier.ErrRefused) {
		t.Errorf("00000: %v", err)
	}
	for range 2 {
		if err := tell("k2", "o2", "00001"); err == nil || errors.Is(err, carrier.ErrRefused) {
			t.Errorf("00001: %v", err)
		}
	}
	if _, found, err := client.Find(t.Context(), "k2"); found || err != nil {
		t.Errorf("k2 is found before it was taken: %v", err)
	}
	for range 2 {
		if err := tell("k2", "o2", "00001"); err != nil {
			t.Errorf("00001 for the third time: %v", err)
		}
	}
	if answer, found, err := client.Find(t.Context(), "k2"); !found || err != nil || !answer.Taken {
		t.Errorf("k2 is not found: %v", err)
	}
	if err := tell("k2", "o2", "99999"); !errors.Is(err, carrier.ErrRefused) {
		t.Errorf("another update under a key that was used: %v", err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := tell("k3", "o3/?#", "1"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	got := map[string]int{}
	for _, u := range box.Updates() {
		got[u.OrderID+" "+u.Status]++
	}
	for what, n := range map[string]int{
		"o1 declined": 1, "o2 failed": 2, "o2 succeeded": 1, "o2 replayed": 1, "o2 declined": 1, "o3/?# succeeded": 1, "o3/?# replayed": 7,
	} {
		if got[what] != n {
			t.Errorf("%d × %s, want %d: %v", got[what], what, n, got)
		}
	}
}

func TestTheSMSGatewayFailsOnDemand(t *testing.T) {
	t.Parallel()
	box := sandboxtest.Start(t)
	client, err := sms.NewHTTP(box.SMSURL())
	if err != nil {
		t.Fatal(err)
	}
	send := func(key, to string) error { return client.Send(t.Context(), key, sms.Message{To: to, Text: "Hello"}) }
	if err := send("k1", "+491700000"); !errors.Is(err, sms.ErrRefused) {
		t.Errorf("0000: %v", err)
	}
	if sent, err := client.Find(t.Context(), "k1"); sent || err != nil {
		t.Errorf("k1: %v, %v", sent, err)
	}
	for range 2 {
		if err := send("k2", "+491701234"); err != nil {
			t.Error(err)
		}
	}
	if sent, err := client.Find(t.Context(), "k2"); !sent || err != nil {
		t.Errorf("k2: %v, %v", sent, err)
	}
	if err := send("k2", "+491705678"); !errors.Is(err, sms.ErrRefused) {
		t.Errorf("another message under a key that was used: %v", err)
	}
	var got []string
	for _, m := range box.Texts() {
		got = append(got, m.Status)
		if m.Text != "Hello" || m.Key == "" || m.At.IsZero() {
			t.Errorf("listed %+v", m)
		}
	}
	if len(got) != 4 || got[0] != "declined" || got[1] != "succeeded" || got[2] != "replayed" || got[3] != "declined" {
		t.Errorf("listed %v", got)
	}
}
