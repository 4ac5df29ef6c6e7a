package metrics_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"troupe/choreo"
	"troupe/choreo/choreotest"
	"troupe/choreo/metrics"
)

type sown struct {
	FieldID string `json:"fieldId"`
}
type reaped struct {
	FieldID string `json:"fieldId"`
}

func (sown) FactType() string   { return "fields.Sown.v1" }
func (f sown) Key() string      { return f.FieldID }
func (reaped) FactType() string { return "fields.Reaped.v1" }
func (f reaped) Key() string    { return f.FieldID }

func reap(_ context.Context, tx *choreo.Tx, e choreo.Event[sown]) error {
	if e.Fact.FieldID == "stony" {
		return errors.New("stones")
	}
	tx.Emit(reaped{e.Fact.FieldID})
	return nil
}

func TestWhatWaitsIsMeasured(t *testing.T) {
	flow, err := choreo.NewFlow(
		choreo.Command("sow").Emits(sown{}),
		choreo.On("reap", reap).Emits(reaped{}).Within(5*time.Second).Retry(choreo.RetryPolicy{Base: time.Millisecond, Factor: 1, Most: time.Millisecond, Tries: 2}),
		choreo.Final(reaped{}, choreo.Completed),
	)
	if err != nil {
		t.Fatal(err)
	}
	s := choreotest.New(t, flow, choreo.Migrate)
	reg := prometheus.NewRegistry()
	reg.MustRegister(metrics.New(s.DB, slog.New(slog.DiscardHandler)))

	s.Emit("sow", sown{"east"})
	if now := gather(t, reg); now["relay_backlog_events"] != 1 || now["relay_backlog_seconds"] <= 0 || now["consumer_lag_events reap"] != 0 {
		t.Errorf("a fact in the outbox is measured as %v", now)
	}
	p := s.Perform()
	choreotest.Eventually(t, "all is taken", func() bool {
		now := gather(t, reg)
		_, measured := now["reaction_age_seconds reap fields.Sown.v1"]
		return measured && s.Count(`select count(*) from choreo.event_log`) == 2 && now["relay_backlog_events"] == 0 && now["relay_unforwarded_events"] == 0 &&
			now["consumer_lag_events reap"] == 0 && now["reaction_age_seconds reap fields.Sown.v1"] == 0
	})
	s.Emit("sow", sown{"stony"})
	choreotest.Eventually(t, "the culprit is parked", func() bool {
		now := gather(t, reg)
		return now["steps reap parked"] == 1 && now["reaction_age_seconds reap fields.Sown.v1"] > 0
	})
	p.Stop()
	s.Emit("sow", sown{"west"})
	p.Forward()
	if now := gather(t, reg); now["consumer_lag_events reap"] != 1 {
		t.Errorf("a fact on Kafka that nobody took is measured as %v", now)
	}
}

// gather is what is scraped, by name and labels.
func gather(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			key := strings.TrimPrefix(f.GetName(), "troupe_")
			for _, l := range m.GetLabel() {
				key += " " + l.GetValue()
			}
			all[key] = m.GetGauge().GetValue()
		}
	}
	return all
}
