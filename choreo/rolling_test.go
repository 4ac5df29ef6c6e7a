package choreo_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"troupe/choreo"
	"troupe/choreo/choreotest"
	"troupe/choreo/consume"
	"troupe/choreo/steps"
)

// A parcel is weighed: version 1 says grams, version 2 says kilograms too many
// people misread, so it says so in its field.
type weighedV1 struct {
	ParcelID string `json:"parcelId"`
	Weight   int    `json:"weight"`
}
type weighed struct {
	ParcelID string `json:"parcelId"`
	Grams    int    `json:"grams"`
}

func (weighedV1) FactType() string { return "parcels.Weighed.v1" }
func (f weighedV1) Key() string    { return f.ParcelID }
func (weighed) FactType() string   { return "parcels.Weighed.v2" }
func (f weighed) Key() string      { return f.ParcelID }
func (f weighed) Validate() error {
	if f.Grams == 0 {
		return errors.New("grams is missing")
	}
	return nil
}
func (weighed) Upcasts() map[int]func([]byte) ([]byte, error) {
	return map[int]func([]byte) ([]byte, error){1: func(data []byte) ([]byte, error) {
		var old weighedV1
		if err := json.Unmarshal(data, &old); err != nil {
			return nil, err
		}
		return json.Marshal(weighed{old.ParcelID, old.Weight})
	}}
}

// note writes down what was weighed and by which binary; nothing keeps a second
// row out.
func note(ctx context.Context, tx *choreo.Tx, binary string, m choreo.Meta, grams int) error {
	_, err := tx.ExecContext(ctx, `insert into weights (event_id, grams, binary_, type) values ($1, $2, $3, $4)`, m.ID, grams, binary, m.Type)
	return err
}

func oldBinary() (*choreo.Flow, error) {
	return choreo.NewFlow(
		choreo.Command("weigh").Emits(weighedV1{}),
		choreo.On("note-weight", func(ctx context.Context, tx *choreo.Tx, e choreo.Event[weighedV1]) error {
			return note(ctx, tx, "old", e.Meta, e.Fact.Weight)
		}).Within(5*time.Second),
		choreo.Final(weighedV1{}, choreo.Completed))
}

func newBinary() (*choreo.Flow, error) {
	return choreo.NewFlow(
		choreo.Command("weigh").Emits(weighed{}),
		choreo.On("note-weight", func(ctx context.Context, tx *choreo.Tx, e choreo.Event[weighed]) error {
			return note(ctx, tx, "new", e.Meta, e.Fact.Grams)
		}).Within(5*time.Second),
		choreo.Final(weighed{}, choreo.Completed))
}

// A rolling deployment: the old binary alone, which meets facts of the new one
// before anybody can read them; both at once on one topic, in one group; the new
// one alone. Nothing is lost, nothing is done twice.
func TestOldAndNewBinarySideBySide(t *testing.T) {
	t.Parallel()
	old, err := oldBinary()
	if err != nil {
		t.Fatal(err)
	}
	next, err := newBinary()
	if err != nil {
		t.Fatal(err)
	}
	s := choreotest.New(t, old, choreo.Migrate)
	if _, err := s.DB.Pool().ExecContext(t.Context(), `create table weights (event_id text, grams int, binary_ text, type text)`); err != nil {
		t.Fatal(err)
	}
	p := s.Perform()
	db, err := choreo.Open(t.Context(), s.DB.Pool(), next, choreo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	emitted := 0
	weigh := func(db *choreo.DB, fact func(id string) choreo.Fact) {
		for range 40 {
			emitted++
			id := fmt.Sprintf("parcel-%d", emitted)
			_, err := choreo.Commit(t.Context(), db, "weigh", func(_ context.Context, tx *choreo.Tx) error { tx.Emit(fact(id)); return nil })
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	v1 := func(id string) choreo.Fact { return weighedV1{id, 500} }
	v2 := func(id string) choreo.Fact { return weighed{id, 500} }

	weigh(s.DB, v1)
	weigh(db, v2) // an API of the new version is there before any consumer is
	choreotest.Eventually(t, "the old binary did what it knows and keeps the rest", func() bool {
		return s.Count(`select count(*) from weights`) == 40 && s.Count(`select count(*) from choreo.steps where state = 'unknown'`) == 40
	})

	process, err := consume.NewProcess(db, p.Broker, next.Consumers(), consume.NewMetrics(prometheus.NewRegistry()), steps.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var g errgroup.Group
	g.Go(func() error { return process.Run(ctx, &choreo.Hints{}) })
	t.Cleanup(func() {
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
	weigh(s.DB, v1)
	weigh(db, v2)
	choreotest.Eventually(t, "both are in the group", func() bool { return process.Ready() == nil && p.Ready() == nil })
	for range 3 {
		weigh(s.DB, v1)
		weigh(db, v2)
	}
	all := func() bool {
		if _, err := consume.Maintain(t.Context(), db, next.Consumers()); err != nil { // as the process does every minute
			t.Fatal(err)
		}
		return s.Count(`select count(*) from weights`) >= emitted
	}
	choreotest.Eventually(t, "both together did all", all)

	weigh(db, v2)
	weigh(s.DB, v1) // an API of the old version is the last to go
	p.Stop()
	p.Forward()
	choreotest.Eventually(t, "the new binary alone did the rest", all)

	if n := s.Count(`select count(distinct event_id) from weights where grams = 500`); n != emitted || s.Count(`select count(*) from weights`) != emitted {
		t.Errorf("%d facts, %d rows, %d of them different and whole", emitted, s.Count(`select count(*) from weights`), n)
	}
	if n := s.Count(`select count(*) from choreo.steps where state not in ('done')`) + s.Count(`select count(*) from choreo.quarantine`); n > 0 {
		t.Errorf("%d steps or records are left", n)
	}
	if s.Count(`select count(*) from weights where binary_ = 'old' and type = 'parcels.Weighed.v1'`) == 0 ||
		s.Count(`select count(*) from weights where binary_ = 'new' and type = 'parcels.Weighed.v2'`) == 0 {
		t.Error("only one binary did anything")
	}
	if n := s.Count(`select count(*) from weights where binary_ = 'new' and type <> 'parcels.Weighed.v2'`); n > 0 {
		t.Errorf("the new binary's handler was told of %d older versions", n)
	}
}

func TestAFactReadsItsOlderVersions(t *testing.T) {
	t.Parallel()
	flow, err := newBinary()
	if err != nil {
		t.Fatal(err)
	}
	fact, err := flow.Read("parcels.Weighed.v1", []byte(`{"parcelId":"p","weight":3,"colour":"red"}`))
	if err != nil || fact != (weighed{"p", 3}) {
		t.Errorf("version 1 is read as %+v: %v", fact, err)
	}
	if got := strings.Join(flow.Types(), " "); got != "parcels.Weighed.v2 parcels.Weighed.v1" {
		t.Errorf("it reads %s", got)
	}
	if o, ok := flow.Final("parcels.Weighed.v1"); !ok || o != choreo.Completed || !flow.Knows("parcels.Weighed.v1") || flow.Consumer("note-weight").Rule("parcels.Weighed.v1") == nil {
		t.Error("version 1 means nothing to the flow")
	}
	for _, c := range []struct{ factType, data string }{
		{"parcels.Weighed.v3", `{"parcelId":"p","grams":3}`}, // from the future
		{"parcels.Weighed.v1", `{"parcelId":"p"}`},           // not whole, once it is upcast
		{"parcels.Weighed.v1", `[]`},
		{"parcels.Lost.v1", `{}`},
	} {
		if fact, err := flow.Read(c.factType, []byte(c.data)); err == nil {
			t.Errorf("%s %s is read as %+v", c.factType, c.data, fact)
		}
	}
}
