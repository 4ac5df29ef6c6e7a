package accounts_test

import (
	"context"
	"testing"

	"troupe/choreo"
	"troupe/domain/account"
	"troupe/events"
)

func TestRestoreAccountAfterItWasDeleted(t *testing.T) {
	t.Parallel()
	s := open(t)
	ana := s.leaves("ana@example.com", func(id string) { s.exec(`update accounts set state = 'active' where account_id = $1`, id) })
	s.after("delete-account", ana).Emits(events.AccountDeleted{AccountID: ana.id})
	failed := events.ProjectsDeletionFailed{AccountID: ana.id, Reason: "x"}
	r := s.When("restore-account", failed, ana.saga)
	r.Emits(events.AccountRestored{AccountID: ana.id})
	s.isState(ana.id, account.Active)
	s.When("restore-account", failed, ana.saga).Emits() // once per saga
	s.When("restore-account", events.ProjectsRestored{AccountID: ana.id, ProjectIDs: []string{}}, ana.saga).Emits()

	// What the deletion still had to say changes nothing any more.
	s.When("erase-account", events.AccountDeleted{AccountID: ana.id}, ana.saga).Emits()
	s.When("erase-account", events.ProjectsDeleted{AccountID: ana.id, ProjectIDs: []string{}}, ana.saga).Emits()
	s.isState(ana.id, account.Active)
}

func TestRestoreAccountBeforeItWasDeleted(t *testing.T) {
	t.Parallel()
	s := open(t)
	ana := s.leaves("ana@example.com")
	late := s.When("delete-account", events.AccountDeletionRequested{AccountID: ana.id}, ana.saga)
	s.When("restore-account", events.ProjectsDeletionFailed{AccountID: ana.id, Reason: "x"}, ana.saga).
		Emits(events.AccountRestored{AccountID: ana.id})
	s.isState(ana.id, account.Unverified)
	if r := s.due(late); r.State != "undone" {
		t.Errorf("the late deletion is %s", r.State)
	} else {
		r.Emits()
	}
}

func TestRestoreAccountOnlyWhenItsProjectsAreBack(t *testing.T) {
	t.Parallel()
	s := open(t)
	var kept string
	ana := s.leaves("ana@example.com", func(id string) { kept = s.has(id) })
	s.after("delete-projects", ana)
	early := events.ProjectsRestored{AccountID: ana.id, ProjectIDs: []string{kept}}
	s.When("restore-account", early, ana.saga).Emits() // made up
	s.isState(ana.id, account.Closing)
	s.When("restore-projects", events.AccountDeletionFailed{AccountID: ana.id, Reason: "x"}, ana.saga).Emits(early)
	s.When("restore-account", early, ana.saga).Emits(events.AccountRestored{AccountID: ana.id})
	s.isState(ana.id, account.Unverified)
}

// A later deletion is a saga of its own: what comes late of the first one leaves
// it alone.
func TestRestoreAccountOfAnEarlierSaga(t *testing.T) {
	t.Parallel()
	s := open(t)
	ana := s.leaves("ana@example.com")
	failed := events.ProjectsDeletionFailed{AccountID: ana.id, Reason: "x"}
	s.When("restore-account", failed, ana.saga)
	again := leaver{ana.id, s.requestDeletion(ana.id)}
	if again.saga == ana.saga {
		t.Fatal("both deletions are one saga")
	}
	if once := s.requestDeletion(ana.id); once != again.saga {
		t.Errorf("asked again while closing, it is saga %s, want %s", once, again.saga)
	}
	s.When("restore-account", failed, ana.saga).Emits()
	s.When("restore-account", events.ProjectsDeletionFailed{AccountID: "nobody", Reason: "x"}, "x").Emits()
	s.isState(ana.id, account.Closing)
}

func TestAClosingAccountTakesNoWork(t *testing.T) {
	t.Parallel()
	s := open(t)
	ana := s.leaves("ana@example.com")
	work := func() error {
		_, err := choreo.Commit(t.Context(), s.DB, "create-project", func(ctx context.Context, tx *choreo.Tx) error {
			return account.Work(ctx, tx, ana.id)
		})
		return err
	}
	if err := work(); err != account.ErrClosing { //nolint:errorlint // the sentinel itself
		t.Errorf("%v, want ErrClosing", err)
	}
	s.When("restore-account", events.ProjectsDeletionFailed{AccountID: ana.id, Reason: "x"}, ana.saga)
	if err := work(); err != nil {
		t.Errorf("after it was restored: %v", err)
	}
}
