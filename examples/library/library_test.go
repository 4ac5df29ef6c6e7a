package library_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"troupe/choreo"
	"troupe/choreo/broker"
	"troupe/choreo/check"
	"troupe/choreo/choreotest"
	"troupe/choreo/saga"
	"troupe/choreo/steps"
	"troupe/choreo/wire"
	"troupe/examples/library"
)

// vault is a bank that refuses when it is told to.
type vault struct {
	mu       sync.Mutex
	taken    map[string]bool
	poor     string // this reader has no money
	stubborn bool   // it gives nothing back
}

func (v *vault) Take(_ context.Context, key, reader string) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if reader == v.poor {
		return "", library.ErrRefused
	}
	v.taken[key] = true
	return "receipt of " + key, nil
}

func (v *vault) GiveBack(_ context.Context, _, taking string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.stubborn {
		return library.ErrRefused
	}
	delete(v.taken, taking)
	return nil
}

func (v *vault) Taken(_ context.Context, key string) (string, bool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return "receipt of " + key, v.taken[key], nil
}

func (v *vault) holds() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.taken)
}

func (v *vault) refusesToGiveBack(does bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.stubborn = does
}

// open is a library with two copies of one book, and a bank.
func open(t *testing.T) (*choreotest.Stage, *vault, *choreotest.Performance) {
	t.Helper()
	bank := &vault{taken: map[string]bool{}, poor: "poor"}
	flow, err := library.Flow(bank, 10*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	s := choreotest.New(t, flow, library.Migrate)
	_, err = s.DB.Pool().ExecContext(t.Context(), `insert into readers values ('ada', 0), ('poor', 0), ('messy', 3)`)
	if err == nil {
		_, err = s.DB.Pool().ExecContext(t.Context(), `insert into books values ('Moby-Dick', 2)`)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s, bank, s.Perform()
}

func request(t *testing.T, s *choreotest.Stage, loan, reader string) string {
	t.Helper()
	r, err := library.Request(t.Context(), s.DB, library.LoanAsked{LoanID: loan, Reader: reader, Book: "Moby-Dick"})
	if err != nil {
		t.Fatal(err)
	}
	return r.Saga
}

// settled waits for a saga to end, as `troupe sagas show` would show it.
func settled(t *testing.T, s *choreotest.Stage, id string) (told *saga.Saga) {
	t.Helper()
	choreotest.Eventually(t, "the saga has settled", func() bool {
		var err error
		told, err = saga.Show(t.Context(), s.DB, id)
		return err == nil && told.Status == saga.Settled
	})
	return told
}

func TestTheFlowIsSound(t *testing.T) {
	flow, err := library.Flow(nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range check.Flow(flow, check.Options{}).Findings {
		t.Error(f)
	}
}

// Both halves come, in any order; then the rest: a delayed reminder, a local note,
// a count by batches, a view.
func TestABookIsLent(t *testing.T) {
	t.Parallel()
	s, bank, _ := open(t)
	told := settled(t, s, request(t, s, "l1", "ada"))
	if told.Outcome != "completed" || bank.holds() != 1 {
		t.Errorf("the loan is %s, the bank holds %d", told.Outcome, bank.holds())
	}
	for what, query := range map[string]string{
		"reminded": `select count(*) from choreo.steps where consumer = 'remind-reader' and state = 'done'`,
		"noted":    `select count(*) from loans where read_by = 'ada'`,
		"counted":  `select loans from counts`,
		"in view":  `select count(*) from shelf.lent where loan = 'l1'`,
	} {
		choreotest.Eventually(t, what, func() bool {
			var n int
			return s.DB.Pool().QueryRowContext(t.Context(), query).Scan(&n) == nil && n == 1
		})
	}
}

// Whatever fails, the other half is taken back.
func TestALoanIsTakenBack(t *testing.T) {
	t.Parallel()
	s, bank, _ := open(t)
	if told := settled(t, s, request(t, s, "l1", "poor")); told.Outcome != "undone" {
		t.Errorf("without a deposit it is %s", told.Outcome)
	}
	if n := s.Count(`select copies from books`); n != 2 {
		t.Errorf("%d copies are there", n)
	}
	for _, loan := range []string{"l2", "l3", "l4"} {
		settled(t, s, request(t, s, loan, "ada"))
	}
	if out, held := s.Count(`select count(*) from loans where state = 'out'`), bank.holds(); out != 2 || held != 2 {
		t.Errorf("%d of three are lent from two copies, and %d deposits held", out, held)
	}
}

// The command itself answers that a reader is barred, and nothing is left of it.
func TestABarredReaderIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	s, _, _ := open(t)
	_, err := library.Request(t.Context(), s.DB, library.LoanAsked{LoanID: "l1", Reader: "messy", Book: "Moby-Dick"})
	var rejected *choreo.RejectedError
	if !errors.As(err, &rejected) || choreo.Reason(rejected.Fact) != "owes-books" {
		t.Errorf("they are told %v", err)
	}
	if s.Count(`select count(*) from loans`) != 0 {
		t.Error("the loan is there all the same")
	}
}

// A deposit that the bank does not give back is owed, and shown, until an operator
// redoes the step.
func TestADepositIsOwedUntilItIsPaidBack(t *testing.T) {
	t.Parallel()
	s, bank, _ := open(t)
	id := request(t, s, "l1", "ada")
	settled(t, s, id)
	bank.refusesToGiveBack(true)
	if _, err := library.CallOff(t.Context(), s.DB, "l1", id); err != nil {
		t.Fatal(err)
	}
	told := settled(t, s, id)
	if len(told.Owed) != 1 || told.Owed[0].Undo != "pay-back" || told.Owed[0].Of != "take-deposit" || told.Outcome != "undone" {
		t.Errorf("of a deposit that is kept it says: %s, owed %+v", told.Outcome, told.Owed)
	}
	bank.refusesToGiveBack(false)
	gaveUp, err := steps.List(t.Context(), s.DB, steps.Filter{Consumer: "pay-back", State: steps.GaveUp}, 10)
	if err != nil || len(gaveUp) != 1 {
		t.Fatalf("steps that gave up: %+v, %v", gaveUp, err)
	}
	if _, err := steps.Redo(t.Context(), s.DB, gaveUp[0].ID, steps.Action{Who: "a librarian", Reason: "the bank has changed its mind"}); err != nil {
		t.Fatal(err)
	}
	choreotest.Eventually(t, "nothing is owed", func() bool {
		told, err := saga.Show(t.Context(), s.DB, id)
		return err == nil && told.Status == saga.Settled && len(told.Owed) == 0
	})
	if n := bank.holds(); n != 0 || s.Count(`select copies from books`) != 2 {
		t.Errorf("the bank still holds %d deposits, or a copy is missing", n)
	}
}

// The publisher writes a bare record to its topic, as any producer may.
func TestThePublisherWithdrawsABook(t *testing.T) {
	t.Parallel()
	s, _, p := open(t)
	out, err := broker.NewPublisher(p.Broker)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	record := &wire.Record{Key: []byte("Moby-Dick"), Value: []byte(`{"book":"Moby-Dick"}`),
		Headers: []wire.Header{{Name: "ce_type", Value: []byte("catalog.BookWithdrawn.v1")}}}
	if err := out.Publish("catalog", broker.NewMessage(t.Context(), &broker.Batch{Records: []*wire.Record{record}})); err != nil {
		t.Fatal(err)
	}
	choreotest.Eventually(t, "the book is blocked", func() bool { return s.Count(`select count(*) from books where blocked`) == 1 })
	if told := settled(t, s, request(t, s, "l1", "ada")); told.Outcome != "undone" {
		t.Errorf("a blocked book is lent: %s", told.Outcome)
	}
}
